"""SQL of our own for the requests that come by the thousand: one prepared statement instead of several queries."""

from pathlib import Path
from typing import Any, cast

from django.db import connection

from medtrack.database.backend.base import DatabaseWrapper


class Statement:
    """Its parameters are written as `%(name)s`."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    @classmethod
    def of(cls, file: Path) -> "Statement":
        return cls(file.read_text())

    def rows(self, **parameters: Any) -> list[tuple[Any, ...]]:
        with cast(DatabaseWrapper, connection).prepared_cursor() as cursor:
            cursor.execute(self._sql, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
