"""Every write to schedules and doses. What a change means for the future is planned in the same transaction."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from psycopg.errors import UniqueViolation

from dosing.cycles import occurrences
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.planning import plan_schedules, rule_of
from dosing.schedule_rules import check
from dosing.status import TRANSITIONS, Change, DoseStatus, EventAction
from medications.models import Medication
from medtrack.common.creation import create_once
from medtrack.common.ids import uuid7
from medtrack.common.problems import Conflict, IdConflict, field_error
from users.models import User

CLOCK_SKEW = timedelta(minutes=5)
PLANNED_FIELDS = {
    "scheduled_time",
    "cycle_type",
    "cycle_value",
    "quantity",
    "start_date",
    "end_date",
    "is_active",
}
EVENT_OF = {
    Change.TAKE: EventAction.TAKEN,
    Change.SKIP: EventAction.SKIPPED,
    Change.UNDO: EventAction.REOPENED,
}


class InvalidTransition(Conflict):
    default_detail = _("This dose cannot be changed in this way now.")
    default_code = "invalid_transition"


@transaction.atomic
def create_schedule(
    *, medication: Medication, now: datetime, id: UUID | None = None, **fields: Any
) -> tuple[Schedule, bool]:
    """The schedule, planned, and whether it is new. Raises ValidationError and IdConflict."""
    check(Schedule(**fields))
    _lock(medication)
    schedule, created = create_once(Schedule.objects.all(), id=id, medication_id=medication.id, **fields)
    if created:
        _plan_from(schedule, now)
    return schedule, created


@transaction.atomic
def update_schedule(*, schedule: Schedule, changes: dict[str, Any], now: datetime) -> Schedule:
    """Re-plans the future when the rule changed; what was due stays as it was. Raises ValidationError."""
    locked = Schedule.objects.select_for_update(of=("self",), no_key=True).select_related("medication__user")
    schedule = get_object_or_404(locked, id=schedule.id, deleted_at=None)
    changed = {name: value for name, value in changes.items() if getattr(schedule, name) != value}
    if not changed:
        return schedule
    is_replanned = not PLANNED_FIELDS.isdisjoint(changed)
    if is_replanned:  # after an outage there are dates that fell due by the old rule and have no dose yet
        plan_schedules(schedule_ids=[schedule.id], now=now)
    for name, value in changed.items():
        setattr(schedule, name, value)
    check(schedule)
    schedule.version += 1
    schedule.save(update_fields=[*changed, "version", "updated_at"])
    if is_replanned:
        _forget_future([schedule.id], now)
        _plan_from(schedule, now)
    return schedule


@transaction.atomic
def delete_schedule(*, schedule: Schedule, now: datetime) -> None:
    """Soft: its past doses stay, its future ones go."""
    _end([schedule.id], now)


@transaction.atomic
def delete_medication(*, medication: Medication, now: datetime) -> None:
    """Soft: the history of its doses survives; its schedules and future doses end."""
    _lock(medication)
    _end(Schedule.objects.filter(medication=medication, deleted_at=None).values_list("id", flat=True), now)
    Medication.objects.filter(id=medication.id).update(deleted_at=now, is_active=False)


def take_dose(
    *,
    dose_id: UUID,
    by: User,
    now: datetime,
    event_id: UUID | None = None,
    occurred_at: datetime | None = None,
    quantity: Decimal | None = None,
    note: str = "",
) -> DoseLog:
    """Records that the dose was taken, when and how much. Raises InvalidTransition and IdConflict."""
    changes = {"taken_at": occurred_at or now, "taken_quantity": quantity, "skip_reason": "", "note": note}
    return _answer(
        Change.TAKE, changes, dose_id=dose_id, by=by, now=now, event_id=event_id, occurred_at=occurred_at
    )


def skip_dose(
    *,
    dose_id: UUID,
    by: User,
    now: datetime,
    event_id: UUID | None = None,
    occurred_at: datetime | None = None,
    reason: str = "",
    note: str = "",
) -> DoseLog:
    """Records that the dose was left out on purpose. Raises InvalidTransition and IdConflict."""
    changes = {"taken_at": None, "taken_quantity": None, "skip_reason": reason, "note": note}
    return _answer(
        Change.SKIP, changes, dose_id=dose_id, by=by, now=now, event_id=event_id, occurred_at=occurred_at
    )


def undo_dose(
    *,
    dose_id: UUID,
    by: User,
    now: datetime,
    event_id: UUID | None = None,
    occurred_at: datetime | None = None,
) -> DoseLog:
    """Reopens an answered dose. Raises InvalidTransition and IdConflict."""
    changes = {"taken_at": None, "taken_quantity": None, "skip_reason": "", "note": ""}
    return _answer(
        Change.UNDO, changes, dose_id=dose_id, by=by, now=now, event_id=event_id, occurred_at=occurred_at
    )


def _answer(
    change: Change,
    changes: dict[str, Any],
    *,
    dose_id: UUID,
    by: User,
    now: datetime,
    event_id: UUID | None,
    occurred_at: datetime | None,
) -> DoseLog:
    """One transition and the event that explains it; a repeat is the same answer and no second event."""
    if occurred_at and occurred_at > now + CLOCK_SKEW:
        raise field_error("occurred_at", _("This time is in the future."), code="in_future")
    event = DoseEvent(id=event_id or uuid7(), dose_id=dose_id, action=EVENT_OF[change], recorded_by=by)
    event.occurred_at, event.recorded_at = occurred_at or now, now
    try:
        with transaction.atomic():
            return _apply(change, changes, event)
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):  # the event id was used for another dose just now
            raise IdConflict from error
        raise


def _apply(change: Change, changes: dict[str, Any], event: DoseEvent) -> DoseLog:
    mine = DoseLog.objects.visible_to(event.recorded_by).select_for_update(of=("self",))
    dose: DoseLog = get_object_or_404(mine, id=event.dose_id)
    if known := DoseEvent.objects.filter(id=event.id).first():
        if (known.dose_id, known.action) != (dose.id, event.action):
            raise IdConflict
        return dose
    status = TRANSITIONS.get((DoseStatus(dose.status), change))
    if status is None:
        if dose.status in _outcomes(change):
            return dose
        raise InvalidTransition
    changes |= {
        "status": status,
        "snoozed_until": None,
        "recorded_by": None if status == DoseStatus.PENDING else event.recorded_by,
    }
    for name, value in changes.items():
        setattr(dose, name, value)
    dose.save(update_fields=list(changes))
    said = {"quantity": dose.taken_quantity, "skip_reason": dose.skip_reason, "note": dose.note}
    event.payload = {name: str(value) for name, value in said.items() if value}
    event.save(force_insert=True)
    return dose


def _outcomes(change: Change) -> set[DoseStatus]:
    return {target for (_status, made), target in TRANSITIONS.items() if made == change}


def _plan_from(schedule: Schedule, now: datetime) -> None:
    """Points `next_due_at` at the first occurrence from now on and plans up to the horizon."""
    wanted = schedule.is_active and schedule.medication.is_active and schedule.medication.paused_at is None
    upcoming = (
        occurrences(rule_of(schedule), zone=schedule.medication.user.zone, since=now) if wanted else iter(())
    )
    first = next(upcoming, None)
    schedule.next_due_at = first.due_at if first else None
    schedule.plan_error = ""
    schedule.save(update_fields=["next_due_at", "plan_error"])
    plan_schedules(schedule_ids=[schedule.id], now=now)


def _lock(medication: Medication) -> None:
    """Deleting a medication and adding a schedule to it take turns. Raises Http404 when it is gone."""
    get_object_or_404(Medication.objects.select_for_update(no_key=True), id=medication.id, deleted_at=None)


def _end(schedule_ids: Iterable[UUID], now: datetime) -> None:
    ids = list(schedule_ids)
    plan_schedules(schedule_ids=ids, now=now)  # what fell due in an outage is history too
    Schedule.objects.filter(id__in=ids).update(deleted_at=now, is_active=False, next_due_at=None)
    _forget_future(ids, now)


def _forget_future(schedule_ids: Iterable[UUID], now: datetime) -> None:
    """Doses that nobody has touched and that are not due yet go; the rest is history.

    Locked first and looked at again: somebody may be answering one of them at this moment.
    """
    future = DoseLog.objects.filter(schedule_id__in=schedule_ids, status=DoseStatus.PENDING, due_at__gt=now)
    ids = list(future.select_for_update().values_list("id", flat=True))
    DoseLog.objects.filter(id__in=ids, events=None).delete()
