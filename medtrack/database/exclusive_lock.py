"""Work that is done once at a time in all processes together, and longer than a transaction should be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections


@contextmanager
def only_one(name: str) -> Iterator[Callable[[], None] | None]:
    """None while another process or thread is inside with this name; otherwise a function that checks that the lock
    still holds, to be called now and then.

    The lock is a transaction's, on a connection of its own, so that the work commits as often as it likes on the
    usual one. PostgreSQL releases it as soon as that connection ends, as with a killed process; and PgBouncer gives
    an open transaction one server connection in each of its modes, which a session's lock would outlive.
    """
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
            (is_ours,) = cursor.fetchone()

            def check() -> None:
                """Raises OperationalError. It also keeps the transaction from being ended as idle."""
                cursor.execute("SELECT")

            yield check if is_ours else None
    finally:
        own.close()
