"""Creating an object once, whatever the client's network does: the same id and body twice is one object."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from medtrack.common.problems import IdConflict

M = TypeVar("M", bound=Model)


def create_once(rows: QuerySet[M], *, id: Any, **values: Any) -> tuple[M, bool]:
    """The object with this id and whether it is new. Raises IdConflict when the id holds something else.

    The unique index decides a race, not a check before it.
    """
    if id is None:
        return rows.create(**values), True
    found, created = rows.get_or_create(id=id, defaults=values)
    if not created and any(getattr(found, name) != value for name, value in values.items()):
        raise IdConflict
    return found, created
