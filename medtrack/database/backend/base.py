"""Django's PostgreSQL backend, with a cheaper health check of connections and with prepared statements."""

import select
import sys
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper
from psycopg.pq import Format


class _PreparedCursor(psycopg.Cursor[tuple[Any, ...]]):
    """Prepares its statements on the server, where they stay parsed as long as the connection lasts; reads binary."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        super().__init__(connection)
        self.format = Format.BINARY

    def execute(self, query: Any, params: Any = None, **_options: Any) -> "_PreparedCursor":
        return super().execute(query, params, prepare=True)


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        """Turns off psycopg's own preparing of statements that are repeated."""
        params: dict[str, Any] = super().get_connection_params()
        return params | {"prepare_threshold": sys.maxsize}

    def is_usable(self) -> bool:
        """Checks without a round trip: a closed connection has unread data (FIN or an error message)."""
        if self.errors_occurred or self.connection is None:
            return bool(super().is_usable())
        if self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)

    def prepared_cursor(self) -> CursorWrapper:
        """Returns a cursor whose statements are prepared; see `medtrack.database.statements`."""
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            cursor: CursorWrapper = self._prepare_cursor(_PreparedCursor(self.connection))  # type: ignore[attr-defined]
        return cursor
