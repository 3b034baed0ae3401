"""Writes to devices. What is sent to them is the queue's and the dispatcher's."""

from datetime import datetime
from typing import Any

from django.db.models import Case, F, Value, When

from notifications.models import DeviceToken
from users.models import Session, User


def register_device(
    *, by: User, session: Session, token: str, now: datetime, **fields: Any
) -> tuple[DeviceToken, bool]:
    """The device with this token, now this person's and alive, and whether it is new.

    A token moves with the phone: whoever signs in on it owns it, and the former owner's reminders stop.
    """
    mine = {
        "user": by,
        "session": session,
        "last_seen_at": now,
        "revoked_at": None,
        "revoke_reason": "",
        **fields,
    }
    since = Case(When(user=by, then=F("owned_since")), default=Value(now))
    device, created = DeviceToken.objects.update_or_create(
        token=token, defaults=mine | {"owned_since": since}, create_defaults=mine | {"owned_since": now}
    )
    device.refresh_from_db(fields=["owned_since"])
    return device, created


def revoke_device(*, device: DeviceToken, reason: str, now: datetime) -> None:
    """Nothing is pushed to this install any more, until it registers again."""
    DeviceToken.objects.filter(id=device.id, revoked_at=None).update(revoked_at=now, revoke_reason=reason)
