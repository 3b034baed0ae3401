"""Turns a unique violation on an id that a client made into IdConflict."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError
from psycopg.errors import UniqueViolation

from medtrack.http.problems import IdConflict

# For clients, of every operation that creates something.
CREATED_ONCE = (
    "With an `id` that the client made, a repeated request with the same body returns the same object, as it is now, "
    "with 200. Another body with the same id is 409 `IdConflict`, and so is the same body once the object is deleted."
)


@contextmanager
def id_conflicts() -> Iterator[None]:
    """Raises IdConflict where PostgreSQL reports that the id exists; the transaction has to be rolled back then."""
    try:
        yield
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):
            raise IdConflict from error
        raise
