"""Makes a repeated request with an id that the client made return the first one's object."""

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


def fingerprint(body: Mapping[str, Any]) -> bytes:
    """Returns a hash of the validated fields that does not depend on their order or the format of numbers and times."""
    return sha256(json.dumps(body, default=_canonical, sort_keys=True).encode()).digest()


def repeated(
    rows: QuerySet[M], *, scope: IdempotencyKey.Scope, id: UUID | None, by: User, body: Mapping[str, Any]
) -> M | None:
    """Returns the object that this user created with this id and the same body; None for the first request.

    Must run in the transaction that creates the object: a concurrent repetition then waits for it. Raises IdConflict
    when the id was used with another body or by another user, or the object is not among these rows any more.
    """
    if id is None:
        return None
    digest = fingerprint(body)
    key, is_new = IdempotencyKey.objects.get_or_create(
        scope=scope, key=id, defaults={"user_id": by.id, "fingerprint": digest}
    )
    if is_new:
        return None
    existing = rows.filter(pk=id).first()
    if existing is None or (key.user_id, bytes(key.fingerprint)) != (by.id, digest):
        raise IdConflict
    return existing


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
