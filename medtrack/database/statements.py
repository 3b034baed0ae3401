"""The SQL that we write ourselves: in files named `sql/*.sql`, or as text in Python if it is short."""

from pathlib import Path
from typing import Any, cast

from django.db import connection
from django.db.backends.utils import CursorWrapper

from medtrack.database.backend.base import DatabaseWrapper


class Statement:
    """One SQL statement with parameters written as `%(name)s`, and so with `%%` for a percent sign.

    A prepared statement stays parsed and planned as long as its connection lasts, and its values are read in binary.
    That pays for short statements that many requests repeat. With another plan for other values it can be slower.
    """

    def __init__(self, sql: str, *, prepared: bool = False) -> None:
        self.sql = sql
        self._is_prepared = prepared

    @classmethod
    def of(cls, file: Path, *, prepared: bool = False) -> "Statement":
        return cls(file.read_text(), prepared=prepared)

    def rows(self, **parameters: Any) -> list[tuple[Any, ...]]:
        """Returns all rows of the result."""
        with self._cursor() as cursor:
            cursor.execute(self.sql, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    def one(self, **parameters: Any) -> tuple[Any, ...]:
        """Returns the one row of a statement that always returns one."""
        (row,) = self.rows(**parameters)
        return row

    def execute(self, **parameters: Any) -> int:
        """Returns how many rows were written, or read if the statement reads."""
        with self._cursor() as cursor:
            cursor.execute(self.sql, parameters)
            return int(cursor.rowcount)

    def _cursor(self) -> CursorWrapper:
        if self._is_prepared:
            return cast(DatabaseWrapper, connection).prepared_cursor()
        return connection.cursor()
