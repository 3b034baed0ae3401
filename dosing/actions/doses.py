"""What users do to doses. Each action makes one transition and records one immutable event that explains it.

An action that is sent again returns the dose as it is and records no second event. With `offline` the event
comes from a phone that kept it: what a person took is then recorded in any case, and `flags` of the result
say what would have been refused.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NotRequired, TypedDict, Unpack
from uuid import UUID

from django.db import transaction
from django.http import Http404
from django.utils.translation import gettext_lazy as _

from dosing.actions.checks import (
    check_as_needed,
    check_early,
    check_time,
    refuse_implausible,
    was_over_limit,
)
from dosing.actions.events import (
    intake_id,
    payload_of,
    recorded_payload,
    store_event_id,
    was_answered_as_a_repeat,
)
from dosing.actions.finding import lock_dose
from dosing.actions.reopening import follow_plan, latest_answer, reopened
from dosing.as_needed import has_limits
from dosing.models import DoseEvent, DoseLog
from dosing.past_rules import planned_quantity_at
from dosing.refusals import AlreadyRecorded, InvalidTransition, NotPlanned
from dosing.status import EVENT_OF, TRANSITIONS, Change, DoseStatus, EventAction, Notice, RecordedAs
from dosing.unwritten import named_by
from medtrack.database.results import ActionResult
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.problems import field_error
from users.models import Session, User

# A statement without an id of its own, about a dose that was taken at most so long before or after, is a
# repeat.
SAME_INTAKE = timedelta(minutes=15)
# How much of the answer window a snooze leaves, so that its reminder comes before the dose is missed.
AFTER_SNOOZE = timedelta(minutes=5)
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


class DoseCommand(TypedDict):
    """The arguments of every dose action. Without `occurred_at` the change happened at the instant `now`."""

    dose_id: UUID
    by: User
    now: datetime
    event_id: NotRequired[UUID | None]
    session: NotRequired[Session | None]
    occurred_at: NotRequired[datetime | None]
    offline: NotRequired[bool]


@dataclass(frozen=True)
class DoseResult(ActionResult[DoseLog]):
    """`over_limit` is about as-needed intakes: the user's day had more of them than expected.

    The others are about offline events: what would have been refused, what the person should be asked, as
    what the event was recorded and why, and whether a later answer than the one to undo holds.
    """

    over_limit: bool = False
    flags: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    recorded_as: str = ""
    reason: str = ""
    is_superseded: bool = False


@transaction.atomic
def take_dose(
    *,
    quantity: Decimal | None = None,
    note: str | None = None,
    override: bool = False,
    **command: Unpack[DoseCommand],
) -> DoseResult:
    """Records that the dose was taken; `override` lets it be early, exceed limits, or replace another
    person's skip.

    Raises Http404, InvalidTransition, AlreadyRecorded, IdConflict, ValidationError, TooEarly and, for an
    as-needed intake, IntakeTooSoon and DailyLimitReached. With `offline` neither AlreadyRecorded nor any of
    the last three.
    """
    event, is_offline = _new_event(Change.TAKE, command, quantity=quantity, note=note), _is_offline(command)
    try:
        dose = lock_dose(event, with_limits=True)
    except NotPlanned as error:
        if not is_offline:
            raise
        return _take_as_intake(event, error, quantity, note)
    if known := _known(dose, event):
        return known
    check_time(event, is_lenient=is_offline)
    if dose.status == DoseStatus.TAKEN:
        is_repeat = _is_same_intake(dose, event, command.get("occurred_at"), quantity, note)
        return _unchanged(dose, event) if is_repeat else _report_too(dose, event, is_offline)
    if dose.status == DoseStatus.SKIPPED and dose.recorded_by_id != event.recorded_by_id and not override:
        if not is_offline:
            raise AlreadyRecorded(dose)
        event.payload["notices"] = [Notice.SKIPPED_BY_OTHER]
    changes = UNANSWERED | {
        "taken_at": event.occurred_at,
        "quantity": planned_quantity_at(dose, event.occurred_at),
        "taken_quantity": quantity,
        "note": note or "",
        "recorded_by_id": event.recorded_by_id,
    }
    if dose.schedule_id is None or has_limits(dose.medication_id):
        check_as_needed(
            dose,
            event,
            event.occurred_at,
            quantity or dose.quantity,
            override=override,
            is_offline=is_offline,
        )
    # An as-needed intake that was undone is taken again: its date is that of the new instant.
    if dose.schedule_id is None:
        changes["log_date"] = _local_date(dose, event.occurred_at)
    else:
        check_early(dose, event, event.occurred_at, override=override, is_offline=is_offline)
    return _save(dose, event, Change.TAKE, changes)


@transaction.atomic
def skip_dose(
    *,
    reason: str | None = None,
    note: str | None = None,
    override: bool = False,
    **command: Unpack[DoseCommand],
) -> DoseResult:
    """Records that the dose was left out on purpose; `override` lets it be early.

    Raises Http404, InvalidTransition, AlreadyRecorded, IdConflict, ValidationError and TooEarly.
    """
    event, is_offline = _new_event(Change.SKIP, command, reason=reason, note=note), _is_offline(command)
    dose = lock_dose(event)
    if known := _known(dose, event):
        return known
    check_time(event)
    if dose.status == DoseStatus.SKIPPED:
        if not is_offline and not _is_same_skip(dose, event, command.get("occurred_at"), reason, note):
            raise AlreadyRecorded(dose)
        return _unchanged(dose, event)
    # No as-needed intake is planned, so an undone one cannot be skipped.
    if dose.schedule_id is None:
        raise InvalidTransition(dose)
    check_early(dose, event, event.occurred_at, override=override, is_offline=is_offline)
    changes = UNANSWERED | {
        "skipped_at": event.occurred_at,
        "quantity": planned_quantity_at(dose, event.occurred_at),
        "skip_reason": reason or "",
        "note": note or "",
        "recorded_by_id": event.recorded_by_id,
    }
    return _save(dose, event, Change.SKIP, changes)


@transaction.atomic
def undo_dose(*, undoes: UUID | None = None, **command: Unpack[DoseCommand]) -> DoseResult:
    """Reopens an answered dose, or ends a snooze. A dose that is still to come follows its plan again.

    If `undoes` is not the event of the latest answer, nothing changes and the result is superseded. Raises
    Http404, InvalidTransition, IdConflict and ValidationError.
    """
    event = _new_event(Change.UNDO, command, undoes=undoes)
    dose = lock_dose(event, with_schedule=True)
    if known := _known(dose, event):
        return known
    check_time(event)
    latest = latest_answer(dose)
    if undoes and not _is_the_answer(undoes, latest, dose, event):
        store_event_id(event)
        return DoseResult(dose, changed=False, is_superseded=True)
    if dose.status == DoseStatus.PENDING:
        if dose.snoozed_until:
            return _save(dose, event, Change.UNDO, {"snoozed_until": None})
        if latest and latest.action == EventAction.REOPENED:
            return _unchanged(dose, event)
        raise InvalidTransition(dose)
    changes = UNANSWERED | {"quantity": planned_quantity_at(dose, event.recorded_at)}
    if dose.schedule_id:
        changes |= reopened(dose, now=event.recorded_at)
    result = _save(dose, event, Change.UNDO, changes)
    follow_plan(dose, now=event.recorded_at)
    return result


@transaction.atomic
def snooze_dose(*, minutes: int, **command: Unpack[DoseCommand]) -> DoseResult:
    """Postpones the dose's reminders by so many minutes, counted from its due time if that is still to come.

    Raises Http404, InvalidTransition, IdConflict, and ValidationError if too little of the answer window
    would be left then.
    """
    event = _new_event(Change.SNOOZE, command, minutes=minutes)
    dose = lock_dose(event)
    if known := _known(dose, event):
        return known
    check_time(event)
    # Without an answer window the dose has no reminders: the plan no longer has it.
    if dose.status != DoseStatus.PENDING or dose.answer_by is None:
        raise InvalidTransition(dose)
    # Without an event id the same snooze, sent again while it lasts, is taken for a repeat.
    is_snoozed = dose.snoozed_until is not None and dose.snoozed_until > event.occurred_at
    if is_snoozed and not command.get("event_id"):
        latest: DoseEvent = dose.events.latest("recorded_at")
        if latest.payload.get("minutes") == str(minutes):
            return _unchanged(dose, event)
    begin = max(event.occurred_at, dose.due_at or event.occurred_at)
    most = (dose.answer_by - AFTER_SNOOZE - begin) // timedelta(minutes=1)
    if minutes > most:
        raise field_error("minutes", _too_long(most), code="after_answer_window")
    return _save(dose, event, Change.SNOOZE, {"snoozed_until": begin + timedelta(minutes=minutes)})


@transaction.atomic
def amend_dose(
    *,
    taken_at: datetime | None = None,
    quantity: Decimal | None = None,
    reason: str | None = None,
    note: str | None = None,
    override: bool = False,
    **command: Unpack[DoseCommand],
) -> DoseResult:
    """Corrects the details of an answer; None leaves a detail as it is. The limits are those of taking it.

    Raises Http404, InvalidTransition, IdConflict, ValidationError for a detail that the answer does not
    have, and without `offline` TooEarly, IntakeTooSoon and DailyLimitReached.
    """
    details = {"taken_at": taken_at, "quantity": quantity, "reason": reason, "note": note}
    event, is_offline = _new_event(Change.AMEND, command, **details), _is_offline(command)
    dose = lock_dose(event, with_limits=True)
    if known := _known(dose, event):
        return known
    check_time(event)
    _check_transition(dose, Change.AMEND)
    # An empty text is a change, which deletes the note or the reason; only None is none.
    sent = {name: value for name, value in details.items() if value is not None}
    columns = AMENDABLE[DoseStatus(dose.status)]
    # Sorted, so that the same request always gets the same error.
    if unknown := sorted(sent.keys() - columns.keys()):
        raise field_error(unknown[0], _("The answer to this dose has no such detail."), code="not_applicable")
    if taken_at:
        refuse_implausible("taken_at", taken_at, now=event.recorded_at)
        sent["taken_at"] = taken_at = min(taken_at, event.recorded_at)
    changes: dict[str, Any] = {columns[name]: value for name, value in sent.items()}
    at = taken_at or dose.taken_at
    is_limited = dose.schedule_id is None or has_limits(dose.medication_id)
    if at and is_limited and {"taken_at", "quantity"} & sent.keys():
        amount = quantity or dose.actual_quantity
        check_as_needed(dose, event, at, amount, override=override, is_offline=is_offline)
    # A planned dose keeps its date, whenever it was taken.
    if at and dose.schedule_id is None:
        changes["log_date"] = _local_date(dose, at)
    elif taken_at:
        check_early(dose, event, taken_at, override=override, is_offline=is_offline)
    return _save(dose, event, Change.AMEND, changes)


def _is_offline(command: DoseCommand) -> bool:
    return command.get("offline", False)


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


def _take_as_intake(
    event: DoseEvent, missing: NotPlanned, quantity: Decimal | None, note: str | None
) -> DoseResult:
    """Records that a dose was taken which the plan no longer has, as an intake of its medication."""
    named = named_by(event.recorded_by, event.dose_id)
    assert named is not None  # noqa: S101 - else the dose had not been found at all
    if recorded_payload(event) is not None:
        raise Http404
    check_time(event, is_lenient=True)
    medication = named.schedule.medication
    dose = DoseLog(
        id=intake_id(event.dose_id),
        user=medication.user,
        medication=medication,
        log_date=event.occurred_at.astimezone(medication.user.zone).date(),
        quantity=quantity or named.schedule.quantity,
        status=DoseStatus.TAKEN,
        taken_at=event.occurred_at,
        note=note or "",
        recorded_by=event.recorded_by,
    )
    check_as_needed(dose, event, event.occurred_at, dose.quantity, override=False, is_offline=True)
    event.payload |= {"recorded_as": RecordedAs.INTAKE, "not_planned": missing.reason}
    event.dose = dose
    with id_conflicts():
        dose.save(force_insert=True)
        event.save(force_insert=True)
    return result_of(dose, event.payload, changed=True)


def _known(dose: DoseLog, event: DoseEvent) -> DoseResult | None:
    """The result of an event that was recorded before, however late it is sent again. Raises IdConflict."""
    payload = recorded_payload(event)
    return None if payload is None else result_of(dose, payload, changed=False)


def _check_transition(dose: DoseLog, change: Change) -> None:
    if (DoseStatus(dose.status), change) not in TRANSITIONS:
        raise InvalidTransition(dose)


def _is_same_intake(
    dose: DoseLog, event: DoseEvent, said_at: datetime | None, quantity: Decimal | None, note: str | None
) -> bool:
    """Whether the same person says again what is recorded about a dose that was taken."""
    assert dose.taken_at is not None  # noqa: S101 - it was taken
    return (
        dose.recorded_by_id == event.recorded_by_id
        and quantity in (None, dose.actual_quantity)
        and (note or dose.note) == dose.note
        and (said_at is None or abs(event.occurred_at - dose.taken_at) <= SAME_INTAKE)
    )


def _is_same_skip(
    dose: DoseLog, event: DoseEvent, said_at: datetime | None, reason: str | None, note: str | None
) -> bool:
    """Whether the same person says again what is recorded about a dose that was skipped."""
    return (
        dose.recorded_by_id == event.recorded_by_id
        and (reason or dose.skip_reason) == dose.skip_reason
        and (note or dose.note) == dose.note
        and (
            said_at is None
            or dose.skipped_at is None
            or abs(event.occurred_at - dose.skipped_at) <= SAME_INTAKE
        )
    )


def _report_too(dose: DoseLog, event: DoseEvent, is_offline: bool) -> DoseResult:
    """Keeps another statement about a dose that was taken, and asks whether it is about a second dose."""
    if not is_offline:
        raise AlreadyRecorded(dose)
    event.dose, event.action = dose, EventAction.ALSO_REPORTED
    event.payload |= {"recorded_as": RecordedAs.ALSO_REPORTED, "notices": [Notice.ONE_DOSE_OR_TWO]}
    with id_conflicts():
        event.save(force_insert=True)
    return result_of(dose, event.payload, changed=True)


def _is_the_answer(undoes: UUID, latest: DoseEvent | None, dose: DoseLog, event: DoseEvent) -> bool:
    """Whether `undoes` is the event of the latest answer, or of a repeat of it."""
    # That a dose was missed is later than every answer.
    if latest is None or dose.status == DoseStatus.MISSED:
        return False
    if latest.id == undoes:
        return latest.action != EventAction.REOPENED
    return latest.action != EventAction.REOPENED and was_answered_as_a_repeat(
        undoes, by=event.recorded_by, since=latest.recorded_at
    )


def _too_long(most: int) -> str:
    if most < 1:
        return str(_("It is too late to snooze this dose: it counts as missed within minutes."))
    return str(_("Send at most %(most)s: later the dose counts as missed.") % {"most": most})


def _save(dose: DoseLog, event: DoseEvent, change: Change, changes: dict[str, Any]) -> DoseResult:
    """Writes the columns of the dose, its new status and the event, unless all of it is so already."""
    _check_transition(dose, change)
    changes = {"status": TRANSITIONS[DoseStatus(dose.status), change], **changes}
    # Without a change there is no event to record, but its id must not be used for another one.
    if all(getattr(dose, name) == value for name, value in changes.items()):
        return _unchanged(dose, event)
    event.dose = dose
    # The dose is locked, but the same event id may be in use for another dose at this moment.
    with id_conflicts():
        for name, value in changes.items():
            setattr(dose, name, value)
        dose.save(update_fields=changes)
        event.save(force_insert=True)
    return result_of(dose, event.payload, changed=True)


def _unchanged(dose: DoseLog, event: DoseEvent) -> DoseResult:
    store_event_id(event)
    return result_of(dose, {}, changed=False)


def result_of(dose: DoseLog, payload: dict[str, Any], *, changed: bool) -> DoseResult:
    is_over = "over_limit" in payload
    if not changed and dose.schedule_id is None:
        is_over = was_over_limit(dose)
    return DoseResult(
        dose,
        changed=changed,
        over_limit=is_over,
        flags=tuple(payload.get("flags", ())),
        notices=tuple(payload.get("notices", ())),
        recorded_as=payload.get("recorded_as", ""),
        reason=payload.get("not_planned", ""),
    )


def _local_date(dose: DoseLog, taken_at: datetime) -> date:
    """The date of an as-needed intake: the local date on which it was taken."""
    return taken_at.astimezone(dose.user.zone).date()
