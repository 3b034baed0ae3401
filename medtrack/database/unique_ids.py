"""Of two objects that are created with one id, the unique index knows the first."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction
from psycopg.errors import UniqueViolation

from medtrack.http.problems import IdConflict

# For clients, of every operation that creates something.
CREATED_ONCE = (
    "With an `id` that the client made, the same body sent again gets the same object, as it is by now, with 200. "
    "Another body under the same id is 409 `IdConflict`, and so is the same one when the object was deleted since."
)


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
