"""The one clock of the engine: PostgreSQL's, which every web, worker and beat process shares."""

from datetime import datetime
from typing import cast

from django.db import connection


def database_now() -> datetime:
    """The database's wall clock now, UTC, even inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return cast(datetime, now)
