"""A table that another connection keeps locked, while the tests' own connection waits no longer than a moment."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection

from medtrack.tests.support.database_role import server_url


@contextmanager
def table_locked(table: str, *, limit: str) -> Iterator[None]:
    """`limit` is the time-out that ends the wait: `lock_timeout` or `statement_timeout`."""
    with psycopg.connect(server_url(connection.settings_dict["NAME"])) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        with connection.cursor() as cursor:
            cursor.execute(f"SET {limit} = '100ms'")
        try:
            yield
        finally:
            other.rollback()
            with connection.cursor() as cursor:
                cursor.execute(f"RESET {limit}")
