"""What users do to doses. Each action makes one transition and records one immutable event that explains it.

An action that is sent again returns the dose as it is and records no second event.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NotRequired, TypedDict, Unpack
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _

from dosing.as_needed import check_limits, is_over_limit
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.status import EVENT_OF, TRANSITIONS, Change, DoseStatus, EventAction
from medications.models import Medication
from medtrack.database.results import ActionResult
from medtrack.database.statements import Statement
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.problems import Conflict, IdConflict, field_error
from users.idempotency import fingerprint
from users.models import IdempotencyKey, Session, User

CLOCK_SKEW = timedelta(minutes=5)
MAX_AGE = timedelta(days=400)
UNANSWERED: dict[str, Any] = {
    "recorded_by_id": None,
    "taken_at": None,
    "taken_quantity": None,
    "skipped_at": None,
    "reopened_until": None,
    "skip_reason": "",
    "note": "",
    "snoozed_until": None,
}
# The columns of DoseLog that `amend_dose` may change, by the name of its argument.
AMENDABLE = {
    DoseStatus.TAKEN: {"taken_at": "taken_at", "quantity": "taken_quantity", "note": "note"},
    DoseStatus.SKIPPED: {"reason": "skip_reason", "note": "note"},
}
# Keys of an event's payload that the server adds: they are not part of what the client sent.
SERVER_KEYS = {"override", "over_limit"}

# One query for both, because nearly all ids are new.
_RECORDED = Statement("""
    SELECT dose_id, action, payload::text, NULL::bytea FROM dose_events WHERE id = %(id)s
    UNION ALL
    SELECT NULL, NULL, NULL, fingerprint FROM idempotency_keys WHERE key = %(id)s AND scope = 'event'
""")


class InvalidTransition(Conflict):
    """The dose's status does not allow this, such as snoozing a dose that was taken."""

    default_detail = _("This dose cannot be changed in this way now.")
    default_code = "invalid_transition"


class DoseCommand(TypedDict):
    """The arguments of every dose action. Without `occurred_at` the change happened at the instant `now`."""

    dose_id: UUID
    by: User
    now: datetime
    event_id: NotRequired[UUID | None]
    session: NotRequired[Session | None]
    occurred_at: NotRequired[datetime | None]


@dataclass(frozen=True)
class DoseResult(ActionResult[DoseLog]):
    """`over_limit` is about as-needed intakes: the user's day had more of them than expected."""

    over_limit: bool = False


@transaction.atomic
def take_dose(
    *,
    quantity: Decimal | None = None,
    note: str | None = None,
    override: bool = False,
    **command: Unpack[DoseCommand],
) -> DoseResult:
    """Records that the dose was taken; `override` lets an as-needed intake exceed its limits.

    Raises Http404, InvalidTransition, IdConflict, ValidationError and, for an as-needed intake, IntakeTooSoon
    and DailyLimitReached.
    """
    event = _new_event(Change.TAKE, command, quantity=quantity, note=note)
    dose = _lock_dose(event)
    if _is_repeat(dose, event, Change.TAKE):
        return _unchanged(dose)
    changes = UNANSWERED | {
        "taken_at": event.occurred_at,
        "taken_quantity": quantity,
        "note": note or "",
        "recorded_by_id": event.recorded_by_id,
    }
    # An as-needed intake that was undone is taken again: its limits and its date are those of the new
    # instant.
    if dose.schedule_id is None:
        event.payload |= check_intake(
            dose.medication,
            event.occurred_at,
            quantity=quantity or dose.quantity,
            override=override,
            exclude=dose,
        )
        changes["log_date"] = _local_date(dose, event.occurred_at)
    return _save(dose, event, Change.TAKE, changes)


@transaction.atomic
def skip_dose(
    *, reason: str | None = None, note: str | None = None, **command: Unpack[DoseCommand]
) -> DoseResult:
    """Records that the dose was left out on purpose.

    Raises Http404, InvalidTransition, IdConflict and ValidationError.
    """
    event = _new_event(Change.SKIP, command, reason=reason, note=note)
    dose = _lock_dose(event)
    if _is_repeat(dose, event, Change.SKIP):
        return _unchanged(dose)
    # No as-needed intake is planned, so an undone one cannot be skipped.
    if dose.schedule_id is None:
        raise InvalidTransition
    changes = UNANSWERED | {
        "skipped_at": event.occurred_at,
        "skip_reason": reason or "",
        "note": note or "",
        "recorded_by_id": event.recorded_by_id,
    }
    return _save(dose, event, Change.SKIP, changes)


@transaction.atomic
def undo_dose(**command: Unpack[DoseCommand]) -> DoseResult:
    """Reopens an answered dose. Raises Http404, InvalidTransition, IdConflict and ValidationError."""
    event = _new_event(Change.UNDO, command)
    dose = _lock_dose(event)
    if _is_repeat(dose, event, Change.UNDO):
        return _unchanged(dose)
    return _save(dose, event, Change.UNDO, UNANSWERED)


@transaction.atomic
def snooze_dose(*, minutes: int, **command: Unpack[DoseCommand]) -> DoseResult:
    """Postpones the dose's reminders by so many minutes, counted from its due time if that is still to come.

    Raises Http404, InvalidTransition, IdConflict, and ValidationError if the dose would count as missed by
    then.
    """
    event = _new_event(Change.SNOOZE, command, minutes=minutes)
    dose = _lock_dose(event)
    if _is_repeat(dose, event, Change.SNOOZE):
        return _unchanged(dose)
    # Without an answer window the dose has no reminders: its medication was paused or ended.
    if dose.answer_by is None:
        raise InvalidTransition
    # Without an event id the same snooze, sent again while it lasts, is taken for a repeat.
    is_snoozed = dose.snoozed_until is not None and dose.snoozed_until > event.occurred_at
    if is_snoozed and not command.get("event_id"):
        latest: DoseEvent = dose.events.latest("recorded_at")
        if latest.payload.get("minutes") == str(minutes):
            return _unchanged(dose)
    until = max(event.occurred_at, dose.due_at or event.occurred_at) + timedelta(minutes=minutes)
    if until > dose.answer_by:
        raise field_error("minutes", _("By then the dose counts as missed."), code="after_answer_window")
    return _save(dose, event, Change.SNOOZE, {"snoozed_until": until})


@transaction.atomic
def amend_dose(
    *,
    taken_at: datetime | None = None,
    quantity: Decimal | None = None,
    reason: str | None = None,
    note: str | None = None,
    **command: Unpack[DoseCommand],
) -> DoseResult:
    """Corrects the details of an answer; None leaves a detail as it is.

    Raises Http404, InvalidTransition, IdConflict, and ValidationError for a detail that the answer does not
    have.
    """
    details = {"taken_at": taken_at, "quantity": quantity, "reason": reason, "note": note}
    event = _new_event(Change.AMEND, command, **details)
    dose = _lock_dose(event)
    if _is_repeat(dose, event, Change.AMEND):
        return _unchanged(dose)
    # After the check for a repeat, which is one however long ago the dose was taken.
    if taken_at:
        refuse_implausible("taken_at", taken_at, now=event.recorded_at)
    # An empty text is a change, which deletes the note or the reason; only None is none.
    sent = {name: value for name, value in details.items() if value is not None}
    columns = AMENDABLE[DoseStatus(dose.status)]
    # Sorted, so that the same request always gets the same error.
    if unknown := sorted(sent.keys() - columns.keys()):
        raise field_error(unknown[0], _("The answer to this dose has no such detail."), code="not_applicable")
    changes: dict[str, Any] = {columns[name]: value for name, value in sent.items()}
    # A planned dose keeps its date, whenever it was taken.
    if dose.schedule_id is None and taken_at:
        changes["log_date"] = _local_date(dose, taken_at)
    return _save(dose, event, Change.AMEND, changes)


def refuse_future(field: str, at: datetime, *, now: datetime) -> None:
    """Raises ValidationError for an instant after `now`; phones' clocks may be `CLOCK_SKEW` fast."""
    if at > now + CLOCK_SKEW:
        raise field_error(field, _("This time is in the future."), code="in_future")


def refuse_implausible(field: str, at: datetime, *, now: datetime) -> None:
    """Raises ValidationError for an instant after `now` or more than `MAX_AGE` before it."""
    refuse_future(field, at, now=now)
    if at < now - MAX_AGE:
        raise field_error(field, _("This time is too long ago."), code="too_long_ago")


def check_intake(
    medication: Medication,
    at: datetime,
    *,
    quantity: Decimal,
    override: bool,
    schedule: Schedule | None = None,
    exclude: DoseLog | None = None,
) -> dict[str, Any]:
    """Checks the limits of an as-needed intake at this instant and returns what its event's payload records.

    That is `override`, the limit that was overridden, if any, and `over_limit` if the user's day has more
    intakes than expected. `exclude` is an intake that does not count. Raises IntakeTooSoon and
    DailyLimitReached.
    """
    overridden = check_limits(
        medication, at, quantity=quantity, override=override, schedule=schedule, exclude=exclude
    )
    recorded: dict[str, Any] = {"override": overridden} if overridden else {}
    if is_over_limit(medication.user, at, exclude=exclude):
        recorded["over_limit"] = True
    return recorded


def was_over_limit(dose: DoseLog) -> bool:
    """Whether the user's day had more intakes than expected when this one was recorded."""
    return dose.events.filter(action=EventAction.TAKEN, payload__has_key="over_limit").exists()


def is_recorded(event: DoseEvent) -> bool:
    """Whether an event with this id and content was recorded, or answered as a repeat, before.

    Raises IdConflict if the id was used for another one.
    """
    if not event.id:
        return False
    rows = _RECORDED.rows(id=event.id)
    for dose_id, action, payload, stored in rows:
        before = stored or _fingerprint(dose_id, action, json.loads(payload))
        if bytes(before) != _fingerprint(event.dose_id, event.action, event.payload):
            raise IdConflict
    return bool(rows)


def store_event_id(event: DoseEvent) -> None:
    """Stores the id of an event that is not recorded itself, so that it cannot be used for another one."""
    if event.id:
        IdempotencyKey.objects.create(
            scope=IdempotencyKey.Scope.EVENT,
            key=event.id,
            user=event.recorded_by,
            fingerprint=_fingerprint(event.dose_id, event.action, event.payload),
        )


def payload_of(**fields: Any) -> dict[str, str]:
    """The payload of an event: what the client sent except for the time, as texts."""
    return {name: str(value) for name, value in fields.items() if value is not None}


def _new_event(change: Change, command: DoseCommand, **fields: Any) -> DoseEvent:
    return DoseEvent(
        # None when the client sent no id: saving it makes one.
        id=command.get("event_id"),
        dose_id=command["dose_id"],
        action=EVENT_OF[change],
        recorded_by=command["by"],
        session=command.get("session"),
        occurred_at=command.get("occurred_at") or command["now"],
        recorded_at=command["now"],
        payload=payload_of(**fields),
    )


def _lock_dose(event: DoseEvent) -> DoseLog:
    """Returns the event's dose, locked until the end of the transaction. Raises Http404."""
    visible = DoseLog.objects.visible_to(event.recorded_by).select_for_update(of=("self",))
    dose: DoseLog = get_object_or_404(visible, id=event.dose_id)
    return dose


def _is_repeat(dose: DoseLog, event: DoseEvent, change: Change) -> bool:
    """Whether this was recorded before. Raises IdConflict, ValidationError and InvalidTransition."""
    if is_recorded(event):
        return True
    # Only now: what was recorded before is a repeat, however late it is sent again.
    refuse_implausible("occurred_at", event.occurred_at, now=event.recorded_at)
    if (DoseStatus(dose.status), change) in TRANSITIONS:
        return False
    # Taking a dose that was taken, and the like, is a repeat; but not undoing a dose that was never answered.
    results = {target for (_status, made), target in TRANSITIONS.items() if made == change}
    if dose.status in results and dose.events.filter(action=event.action).exists():
        with id_conflicts():
            store_event_id(event)
        return True
    raise InvalidTransition


def _save(dose: DoseLog, event: DoseEvent, change: Change, changes: dict[str, Any]) -> DoseResult:
    """Writes the columns of the dose, its new status and the event, unless all of it is so already."""
    changes = {"status": TRANSITIONS[DoseStatus(dose.status), change], **changes}
    # The dose is locked, but the same event id may be in use for another dose at this moment.
    with id_conflicts():
        # Without a change there is no event to record, but its id must not be used for another one.
        if all(getattr(dose, name) == value for name, value in changes.items()):
            store_event_id(event)
            return _unchanged(dose)
        for name, value in changes.items():
            setattr(dose, name, value)
        dose.save(update_fields=changes)
        event.save(force_insert=True)
    return DoseResult(dose, changed=True, over_limit="over_limit" in event.payload)


def _unchanged(dose: DoseLog) -> DoseResult:
    return DoseResult(dose, changed=False, over_limit=dose.schedule_id is None and was_over_limit(dose))


def _local_date(dose: DoseLog, taken_at: datetime) -> date:
    """The date of an as-needed intake: the local date on which it was taken."""
    return taken_at.astimezone(dose.user.zone).date()


def _fingerprint(dose_id: UUID, action: str, payload: dict[str, Any]) -> bytes:
    """The fingerprint of an event, without the keys that the server adds to its payload."""
    sent = {name: value for name, value in payload.items() if name not in SERVER_KEYS}
    # "said" is part of stored fingerprints: another name would turn every repeat into a conflict.
    return fingerprint({"dose_id": dose_id, "action": action, "said": sent})
