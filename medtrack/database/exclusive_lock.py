"""A lock for work that only one process may do at a time, and that takes several transactions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DEFAULT_DB_ALIAS, connections


@contextmanager
def only_one(name: str) -> Iterator[Callable[[], None] | None]:
    """Yields None if another process or thread holds the lock with this name.

    Otherwise yields a function that checks that the lock still holds, to be called from time to time.
    """
    # A transaction's advisory lock on a connection of its own, so that the work can commit on the usual one. PostgreSQL
    # releases it when that connection ends, also because the process was killed. A session's lock would not do with
    # PgBouncer, which may use the server connection for other clients.
    own = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        own.set_autocommit(False)
        with own.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
            (is_locked,) = cursor.fetchone()

            def check() -> None:
                """Raises OperationalError. It also prevents idle_in_transaction_session_timeout."""
                cursor.execute("SELECT")

            yield check if is_locked else None
    finally:
        own.close()
