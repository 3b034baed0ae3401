"""The role of the tests: it has the privileges of web and engine, so that one that both lack fails a test."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import psycopg
from django.db import connection
from psycopg.pq import TransactionStatus

from medtrack.database.owner import connected_as
from medtrack.database.role_names import ENGINE, REPORT, WEB

OWNER = urlsplit(os.environ["DATABASE_URL"]).username or ""
TESTS, WEB_AND_ENGINE = "medtrack_tests", "medtrack_web_and_engine"
_LOCK = 7_305_814_025
P = ParamSpec("P")
R = TypeVar("R")


def server_url(database: str) -> str:
    """The tests' PostgreSQL, as the owner."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()


def create_tests_role() -> None:
    """One for the whole server, where several test processes may start at once."""
    with psycopg.connect(server_url("postgres")) as server:
        server.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if server.execute("SELECT FROM pg_roles WHERE rolname = %s", [TESTS]).rowcount:
            return
        for statement in (
            f"CREATE ROLE {WEB_AND_ENGINE} IN ROLE {WEB}, {ENGINE}",
            # It may act as any of these where a test asks for it, and has none of their privileges otherwise.
            f"CREATE ROLE {TESTS} LOGIN NOINHERIT IN ROLE {WEB_AND_ENGINE}, {WEB}, {ENGINE}, {REPORT}, {OWNER}",
            f"ALTER ROLE {TESTS} SET role = {WEB_AND_ENGINE}",
        ):
            server.execute(statement.encode())


def past_triggers(handle: Callable[P, R]) -> Callable[P, R]:
    """As the owner, and past the triggers that refuse TRUNCATE to the owner too."""

    @functools.wraps(handle)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        options = connection.settings_dict["OPTIONS"] | {"options": "-c session_replication_role=replica"}
        with connected_as(USER=OWNER, OPTIONS=options):
            return handle(*args, **kwargs)

    return wrapped


def as_web(handle: Callable[P, R]) -> Callable[P, R]:
    """Requests have the privileges of web alone, as deployed, as soon as the test has a connection."""

    @functools.wraps(handle)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with acting_as(WEB) if connection.connection else nullcontext():
            return handle(*args, **kwargs)

    return wrapped


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    """The tests' connection has the privileges of this role instead, also within the transaction of a test."""
    if connection.connection is None:
        connection.ensure_connection()
    session = connection.connection
    # Past Django, so that it is not among the queries that a test counts.
    session.execute(f"SET ROLE {role}".encode())
    try:
        yield
    finally:
        # A transaction that failed takes the role back when it is rolled back.
        if not session.closed and session.info.transaction_status != TransactionStatus.INERROR:
            session.execute(b"RESET ROLE")
