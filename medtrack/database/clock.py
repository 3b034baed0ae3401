"""The clocks of the code. `pyproject.toml` forbids every other one, with the exceptions that it explains."""

from datetime import datetime
from typing import cast

from django.db import connection
from django.utils import timezone


def database_now() -> datetime:
    """Returns PostgreSQL's clock now, in UTC, also inside a transaction.

    All web, worker and beat processes share it, so it is the clock of every instant that is stored or
    compared with one that is stored.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return cast(datetime, now)


def process_now() -> datetime:
    """Returns this machine's clock now, in UTC, without a query.

    For what a read shows, such as the date that is today for a user, and for the session of an outside
    token: every request with one checks it, and its times are hours and days. The clocks of two machines
    differ by seconds at most.
    """
    return timezone.now()
