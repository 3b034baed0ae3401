"""Of two objects that are created with one id, the unique index knows the first."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction
from psycopg.errors import UniqueViolation

from medtrack.common.problems import IdConflict


@contextmanager
def taken_ids_are_conflicts() -> Iterator[None]:
    """A savepoint in which the unique index decides who had an id first. Raises IdConflict for the other one."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):
            raise IdConflict from error
        raise
