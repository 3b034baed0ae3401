"""Dose events and their ids: an event is recorded once, however often it is sent."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from dosing.models import DoseEvent
from dosing.status import EventAction
from medtrack.database.statements import Statement
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.problems import IdConflict
from users.idempotency import fingerprint
from users.models import IdempotencyKey, User

# Keys of an event's payload that the server adds: they are not part of what the client sent.
SERVER_KEYS = {"override", "over_limit", "flags", "notices", "recorded_as", "not_planned"}

# One query for both, because nearly all ids are new.
_RECORDED = Statement("""
    SELECT dose_id, action, payload::text, NULL::bytea FROM dose_events WHERE id = %(id)s
    UNION ALL
    SELECT NULL, NULL, NULL, fingerprint FROM idempotency_keys WHERE key = %(id)s AND scope = 'event'
""")


def recorded_payload(event: DoseEvent) -> dict[str, Any] | None:
    """The payload of the event with this id that was recorded before; None for a new event.

    It is empty for an event that was answered as a repeat. Raises IdConflict if the id was used for another
    event.
    """
    if not event.id:
        return None
    payload: dict[str, Any] | None = None
    for dose_id, action, text, stored in _RECORDED.rows(id=event.id):
        payload = {} if stored else json.loads(text)
        before = stored or _fingerprint(_said_of(event, dose_id), _said(action), payload or {})
        if bytes(before) != _fingerprint(event.dose_id, event.action, event.payload):
            raise IdConflict
    return payload


def is_recorded(event: DoseEvent) -> bool:
    """Whether an event with this id and content was recorded, or answered as a repeat, before.

    Raises IdConflict if the id was used for another one.
    """
    return recorded_payload(event) is not None


def store_event_id(event: DoseEvent) -> None:
    """Stores the id of an event that is not recorded itself, so that it cannot be used for another one.

    Raises IdConflict.
    """
    if not event.id:
        return
    # The same id may be in use for another dose at this moment.
    with id_conflicts():
        IdempotencyKey.objects.create(
            scope=IdempotencyKey.Scope.EVENT,
            key=event.id,
            user=event.recorded_by,
            fingerprint=_fingerprint(event.dose_id, event.action, event.payload),
        )


def was_answered_as_a_repeat(event_id: UUID, *, by: User, since: datetime) -> bool:
    """Whether this id came with a statement that changed nothing, because of the answer given at `since`."""
    keys = IdempotencyKey.objects.filter(scope=IdempotencyKey.Scope.EVENT, key=event_id, user=by)
    return keys.filter(created_at__gte=since).exists()


def intake_id(dose_id: UUID) -> UUID:
    """The id of the intake that stands for a dose that the plan no longer had when it was taken."""
    return uuid5(dose_id, "intake")


def payload_of(**fields: Any) -> dict[str, str]:
    """The payload of an event: what the client sent except for the time, as texts."""
    return {name: str(value) for name, value in fields.items() if value is not None}


def _said(action: str) -> str:
    """The action that the client sent."""
    return EventAction.TAKEN if action == EventAction.ALSO_REPORTED else action


def _said_of(event: DoseEvent, dose_id: UUID) -> UUID:
    """The dose that the client named: if the event was recorded as an intake, not the intake."""
    return event.dose_id if dose_id == intake_id(event.dose_id) else dose_id


def _fingerprint(dose_id: UUID, action: str, payload: dict[str, Any]) -> bytes:
    """The fingerprint of an event, without the keys that the server adds to its payload."""
    sent = {name: value for name, value in payload.items() if name not in SERVER_KEYS}
    # "said" is part of stored fingerprints: another name would turn every repeat into a conflict.
    return fingerprint({"dose_id": dose_id, "action": action, "said": sent})
