"""The clocks: PostgreSQL's for the engine and all writes, the process's own for reads."""

from datetime import datetime
from typing import cast

from django.db import connection
from django.utils import timezone


def database_now() -> datetime:
    """The database's wall clock now, UTC, even inside a transaction. All web, worker and beat processes share it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return cast(datetime, now)


def process_now() -> datetime:
    """This process's clock now, UTC, without a query: for reads, such as those of today, and for tokens."""
    return timezone.now()
