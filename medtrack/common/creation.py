"""Creating an object once, whatever the client's network does: the same id and body twice is one object."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Model, QuerySet
from psycopg.errors import UniqueViolation

from medtrack.common.problems import IdConflict

M = TypeVar("M", bound=Model)


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


def create_once(
    rows: QuerySet[M], *, id: Any, defaults: Mapping[str, Any] | None = None, **values: Any
) -> tuple[M, bool]:
    """The object with this id and whether it is new. Raises IdConflict when the id holds something else.

    `defaults` are values that the client did not send, so that a repeat on another day is still a repeat. The
    unique index decides a race, not a check before it.
    """
    if id is None:
        return rows.create(**{**(defaults or {}), **values}), True
    found, created = rows.get_or_create(id=id, defaults={**(defaults or {}), **values})
    if created:
        return found, True
    if any(getattr(found, name) != value for name, value in values.items()) or getattr(
        found, "deleted_at", None
    ):
        raise IdConflict
    return found, created
