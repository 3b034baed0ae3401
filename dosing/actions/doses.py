"""What people do to doses: each is one transition and one immutable event that explains it.

A repeat is the same answer and no second event.
"""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NotRequired, TypedDict, Unpack
from uuid import UUID

from django.db import connection
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _

from dosing.as_needed import check_limits, is_over_limit
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.status import TRANSITIONS, Change, DoseStatus, EventAction
from medications.models import Medication
from medtrack.database.unique_ids import taken_ids_are_conflicts
from medtrack.http.problems import Conflict, IdConflict, field_error
from users.idempotency import fingerprint
from users.models import IdempotencyKey, Session, User

CLOCK_SKEW = timedelta(minutes=5)
MEMORY = timedelta(days=400)
EVENT_OF = {
    Change.TAKE: EventAction.TAKEN,
    Change.SKIP: EventAction.SKIPPED,
    Change.UNDO: EventAction.REOPENED,
    Change.SNOOZE: EventAction.SNOOZED,
    Change.AMEND: EventAction.AMENDED,
}
UNANSWERED: dict[str, Any] = {
    "recorded_by_id": None,
    "taken_at": None,
    "taken_quantity": None,
    "skip_reason": "",
    "note": "",
    "snoozed_until": None,
}
AMENDABLE = {DoseStatus.TAKEN: {"taken_at", "quantity", "note"}, DoseStatus.SKIPPED: {"reason", "note"}}
# What we add to an event's payload: the client did not send it.
REMARKS = {"override", "over_limit"}
COLUMNS = {"quantity": "taken_quantity", "reason": "skip_reason"}


class InvalidTransition(Conflict):
    """The dose's status does not allow this, such as snoozing a dose that was taken."""

    default_detail = _("This dose cannot be changed in this way now.")
    default_code = "invalid_transition"


class Deed(TypedDict):
    """Who does something to which dose. It occurred `now` unless it is recorded later than it happened."""

    dose_id: UUID
    by: User
    now: datetime
    event_id: NotRequired[UUID | None]
    session: NotRequired[Session | None]
    occurred_at: NotRequired[datetime | None]


def take_dose(
    *, quantity: Decimal | None = None, note: str | None = None, override: bool = False, **deed: Unpack[Deed]
) -> DoseLog:
    """Records that the dose was taken, when and how much; `override` lets an as-needed intake pass its limits.

    Raises InvalidTransition, IdConflict and, for an as-needed intake, IntakeTooSoon and DailyLimitReached.
    """
    event = _event(Change.TAKE, deed, quantity=quantity, note=note)

    def taken(dose: DoseLog) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "taken_at": event.occurred_at,
            "taken_quantity": quantity,
            "note": note or "",
            "recorded_by_id": event.recorded_by_id,
        }
        if dose.schedule_id is None:
            passed = pass_limits(dose.medication, event.occurred_at, override=override, besides=dose)
            event.payload |= passed
            dose.over_limit = "over_limit" in passed
            answer |= _intake_date(dose, event.occurred_at)
        return UNANSWERED | answer

    return _record(Change.TAKE, event, taken)


def skip_dose(*, reason: str | None = None, note: str | None = None, **deed: Unpack[Deed]) -> DoseLog:
    """Records that the dose was left out on purpose. Raises InvalidTransition and IdConflict."""
    event = _event(Change.SKIP, deed, reason=reason, note=note)
    answer = {"skip_reason": reason or "", "note": note or "", "recorded_by_id": event.recorded_by_id}

    def skipped(dose: DoseLog) -> dict[str, Any]:
        # Of an intake that was taken back nothing was planned, and so nothing is left out.
        if dose.schedule_id is None:
            raise InvalidTransition
        return UNANSWERED | answer

    return _record(Change.SKIP, event, skipped)


def undo_dose(**deed: Unpack[Deed]) -> DoseLog:
    """Reopens an answered dose. Raises InvalidTransition and IdConflict."""
    return _record(Change.UNDO, _event(Change.UNDO, deed), lambda dose: UNANSWERED)


def snooze_dose(*, minutes: int, **deed: Unpack[Deed]) -> DoseLog:
    """Puts the dose off by so many minutes, counted from its due time while that is still to come.

    Raises InvalidTransition, IdConflict and, when it would count as missed by then, ValidationError.
    """
    event = _event(Change.SNOOZE, deed, minutes=minutes)

    def asleep(dose: DoseLog) -> dict[str, Any]:
        if dose.answer_by is None:
            raise InvalidTransition
        if "event_id" not in deed and _is_asleep(dose, minutes, event.occurred_at):
            return {}
        until = max(event.occurred_at, dose.due_at or event.occurred_at) + timedelta(minutes=minutes)
        if until > dose.answer_by:
            raise field_error("minutes", _("By then the dose counts as missed."), code="after_answer_window")
        return {"snoozed_until": until}

    return _record(Change.SNOOZE, event, asleep)


def amend_dose(
    *,
    taken_at: datetime | None = None,
    quantity: Decimal | None = None,
    reason: str | None = None,
    note: str | None = None,
    **deed: Unpack[Deed],
) -> DoseLog:
    """Corrects what an answer said; None leaves as it is. Raises InvalidTransition, IdConflict, ValidationError."""
    said = {"taken_at": taken_at, "quantity": quantity, "reason": reason, "note": note}
    event = _event(Change.AMEND, deed, **said)

    def corrected(dose: DoseLog) -> dict[str, Any]:
        if taken_at:
            refuse_implausible("taken_at", taken_at, now=event.recorded_at)
        given = {name: value for name, value in said.items() if value is not None}
        if wrong := sorted(given.keys() - AMENDABLE[DoseStatus(dose.status)]):
            raise field_error(
                wrong[0], _("The answer to this dose has no such detail."), code="not_applicable"
            )
        changes = {COLUMNS.get(name, name): value for name, value in given.items()}
        if dose.schedule_id is None and taken_at:
            changes |= _intake_date(dose, taken_at)
        return changes

    return _record(Change.AMEND, event, corrected)


def refuse_future(field: str, at: datetime, *, now: datetime) -> None:
    """Raises ValidationError; a phone's clock may be a little ahead of ours."""
    if at > now + CLOCK_SKEW:
        raise field_error(field, _("This time is in the future."), code="in_future")


def refuse_implausible(field: str, at: datetime, *, now: datetime) -> None:
    """Raises ValidationError for an instant in the future or longer ago than anybody remembers."""
    refuse_future(field, at, now=now)
    if at < now - MEMORY:
        raise field_error(field, _("This time is too long ago."), code="too_long_ago")


def pass_limits(
    medication: Medication,
    at: datetime,
    *,
    override: bool,
    schedule: Schedule | None = None,
    besides: DoseLog | None = None,
) -> dict[str, Any]:
    """What the event remembers of an as-needed intake at this instant: the limit that was overridden, if any, and
    whether the person's day has more intakes than expected.

    Raises IntakeTooSoon and DailyLimitReached unless overridden.
    """
    overridden = check_limits(medication, at, override=override, schedule=schedule, besides=besides)
    remarks: dict[str, Any] = {"override": overridden} if overridden else {}
    if is_over_limit(medication.user, at, besides=besides):
        remarks["over_limit"] = True
    return remarks


def was_over_limit(dose: DoseLog) -> bool:
    """Whether the intake was beyond what is expected of a day when it was recorded as taken."""
    return dose.events.filter(action=EventAction.TAKEN, payload__has_key="over_limit").exists()


def is_known(event: DoseEvent) -> bool:
    """Whether this very deed was recorded, or answered as a repeat, under its id. Raises IdConflict for another one."""
    if not event.id:
        return False
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, {"id": event.id})
        known = cursor.fetchall()
    for dose_id, action, payload, remembered in known:
        deed = remembered or _deed(dose_id, action, json.loads(payload))
        if bytes(deed) != _deed(event.dose_id, event.action, event.payload):
            raise IdConflict
    return bool(known)


def remember(event: DoseEvent) -> None:
    """An id that was answered without an event of its own is not to become a new deed later."""
    if event.id:
        deed = _deed(event.dose_id, event.action, event.payload)
        scope = IdempotencyKey.Scope.EVENT
        IdempotencyKey.objects.create(scope=scope, key=event.id, user=event.recorded_by, fingerprint=deed)


# In one query: most ids are new, and theirs is the path that counts.
_KNOWN = """
    SELECT dose_id, action, payload::text, NULL::bytea FROM dose_events WHERE id = %(id)s
    UNION ALL
    SELECT NULL, NULL, NULL, fingerprint FROM idempotency_keys WHERE key = %(id)s AND scope = 'event'
"""


def _deed(dose_id: UUID, action: str, payload: dict[str, Any]) -> bytes:
    """Which deed it is; our remarks are not part of it."""
    said = {name: value for name, value in payload.items() if name not in REMARKS}
    return fingerprint({"dose_id": dose_id, "action": action, "said": said})


def payload_of(**said: Any) -> dict[str, str]:
    """What an event remembers of what was said besides when."""
    return {name: str(value) for name, value in said.items() if value is not None}


def _event(change: Change, deed: Deed, **said: Any) -> DoseEvent:
    """Without an id when the client gave it none: the row gets one of ours."""
    return DoseEvent(
        id=deed.get("event_id"),
        dose_id=deed["dose_id"],
        action=EVENT_OF[change],
        recorded_by=deed["by"],
        session=deed.get("session"),
        occurred_at=deed.get("occurred_at") or deed["now"],
        recorded_at=deed["now"],
        payload=payload_of(**said),
    )


def _record(change: Change, event: DoseEvent, details: Callable[[DoseLog], dict[str, Any]]) -> DoseLog:
    """The dose after the change; `details` are the columns that it sets besides the status."""
    with taken_ids_are_conflicts():  # the event id may just have been used for another dose
        return _apply(change, event, details)


def _apply(change: Change, event: DoseEvent, details: Callable[[DoseLog], dict[str, Any]]) -> DoseLog:
    mine = DoseLog.objects.visible_to(event.recorded_by).select_for_update(of=("self",))
    dose: DoseLog = get_object_or_404(mine, id=event.dose_id)
    if is_known(event):
        return _repeat(dose)
    refuse_implausible("occurred_at", event.occurred_at, now=event.recorded_at)
    status = TRANSITIONS.get((DoseStatus(dose.status), change))
    if status is None:
        if dose.status in _outcomes(change) and dose.events.filter(action=event.action).exists():
            remember(event)
            return _repeat(dose)
        raise InvalidTransition
    changes = {"status": status} | details(dose)
    if all(getattr(dose, name) == value for name, value in changes.items()):
        remember(event)
        return _repeat(dose)
    for name, value in changes.items():
        setattr(dose, name, value)
    dose.save(update_fields=changes)
    event.save(force_insert=True)
    return dose


def _repeat(dose: DoseLog) -> DoseLog:
    dose.is_repeat = True
    dose.over_limit = dose.schedule_id is None and was_over_limit(dose)
    return dose


def _intake_date(dose: DoseLog, taken_at: datetime) -> dict[str, Any]:
    """An as-needed intake belongs to the local date on which it was taken."""
    return {"log_date": taken_at.astimezone(dose.user.zone).date()}


def _outcomes(change: Change) -> set[DoseStatus]:
    return {target for (_status, made), target in TRANSITIONS.items() if made == change}


def _is_asleep(dose: DoseLog, minutes: int, at: datetime) -> bool:
    """The same snooze again, while it lasts, is a repeat."""
    if dose.snoozed_until is None or dose.snoozed_until <= at:
        return False
    return bool(dose.events.latest("recorded_at").payload.get("minutes") == str(minutes))
