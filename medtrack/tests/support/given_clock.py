"""A clock that a test sets, for the statements of the reminder queue, which read PostgreSQL's."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import connection

from medtrack.tests.support.database_role import OWNER, acting_as

_OWN_CLOCK = """
    CREATE SCHEMA given_clock;
    GRANT USAGE ON SCHEMA given_clock TO PUBLIC;
    CREATE FUNCTION given_clock.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    RETURN coalesce(
        nullif(current_setting('given_clock.now', true), '')::timestamptz, pg_catalog.statement_timestamp()
    );
"""


@contextmanager
def given_clock() -> Iterator[None]:
    """`statement_timestamp()` is what `set_clock` says, in the transaction of a test and until the block ends.

    The view of the invariants and the defaults of columns keep PostgreSQL's clock.
    """
    with connection.cursor() as cursor:
        with acting_as(OWNER):
            cursor.execute(_OWN_CLOCK)
        cursor.execute("SET LOCAL search_path = given_clock, public, pg_catalog")
        try:
            yield
        finally:
            cursor.execute("SET LOCAL search_path TO DEFAULT")
            with acting_as(OWNER):
                cursor.execute("DROP SCHEMA given_clock CASCADE")


def set_clock(now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('given_clock.now', %s, true)", [now.isoformat()])
