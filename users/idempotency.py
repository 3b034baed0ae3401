"""What a client asks for under an id that it made counts once, whatever its network does."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from medtrack.http.problems import IdConflict
from users.models import IdempotencyKey, User

M = TypeVar("M", bound=Model)


def fingerprint(said: Mapping[str, Any]) -> bytes:
    """The same for the same validated fields, in whatever order and however an amount or an instant was written."""
    return sha256(json.dumps(said, default=_canonical, sort_keys=True).encode()).digest()


def repeated(
    rows: QuerySet[M], *, scope: IdempotencyKey.Scope, id: UUID | None, by: User, said: Mapping[str, Any]
) -> M | None:
    """The object that this person created under this id by saying the same; None when they say it for the first time.

    In the transaction that creates it then: whoever says the same at once waits, and gets the object. Raises
    IdConflict when something else was asked for under the id, or the object is not among these rows any more.
    """
    if id is None:
        return None
    asked = fingerprint(said)
    known, is_new = IdempotencyKey.objects.get_or_create(
        scope=scope, key=id, defaults={"user_id": by.id, "fingerprint": asked}
    )
    if is_new:
        return None
    found = rows.filter(pk=id).first()
    if found is None or (known.user_id, bytes(known.fingerprint)) != (by.id, asked):
        raise IdConflict
    return found


def _canonical(value: Any) -> str:
    match value:
        case Decimal():
            return str(value.normalize())
        case datetime():
            return value.astimezone(UTC).isoformat()
        case date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
    raise TypeError(type(value))
