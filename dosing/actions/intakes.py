"""Recording that an as-needed medicine was taken."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _

from dosing.actions.doses import refuse_future
from dosing.as_needed import DailyLimitReached, IntakeTooSoon, as_needed_schedules, refuse_beyond_limits
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.status import DoseStatus, EventAction
from medications.models import Medication
from medtrack.common.creation import taken_ids_are_conflicts
from medtrack.common.ids import uuid7
from medtrack.common.problems import IdConflict, field_error
from users.actions import take_turn
from users.models import User


@transaction.atomic
def log_intake(
    *,
    medication_id: UUID,
    by: User,
    now: datetime,
    id: UUID | None = None,
    schedule_id: UUID | None = None,
    taken_at: datetime | None = None,
    quantity: Decimal | None = None,
    note: str = "",
    override: bool = False,
) -> tuple[DoseLog, bool]:
    """The intake, and whether it is new; `override` lets it pass the limits and is remembered.

    Raises Http404, ValidationError, IdConflict, IntakeTooSoon and DailyLimitReached.
    """
    at = taken_at or now
    refuse_future("taken_at", at, now=now)
    medication = get_object_or_404(Medication.objects.visible_to(by), id=medication_id)
    medication.user = take_turn(medication.user_id)
    said = {"quantity": quantity, "note": note or None, "schedule_id": schedule_id}
    payload = {name: str(value) for name, value in said.items() if value is not None}
    if id and (known := DoseLog.objects.filter(id=id).first()):
        return _repeated(known, medication, taken_at, payload), False
    schedule = _as_needed_schedule(medication, schedule_id)
    try:
        refuse_beyond_limits(medication, at, schedule=schedule)
    except (IntakeTooSoon, DailyLimitReached) as limit:
        if not override:
            raise
        payload["override"] = type(limit).__name__
    dose = DoseLog(
        id=id or uuid7(),
        user=medication.user,
        medication=medication,
        log_date=at.astimezone(medication.user.zone).date(),
        quantity=quantity or _usual_quantity(medication, schedule),
        status=DoseStatus.TAKEN,
        taken_at=at,
        note=note,
        recorded_by=by,
    )
    event = DoseEvent(dose=dose, action=EventAction.TAKEN, recorded_by=by, payload=payload)
    event.occurred_at, event.recorded_at = at, now
    with taken_ids_are_conflicts():  # somebody else's client may just have made up the same id
        dose.save(force_insert=True)
    event.save(force_insert=True)
    return dose, True


def _repeated(
    known: DoseLog, medication: Medication, taken_at: datetime | None, payload: dict[str, str]
) -> DoseLog:
    """The intake with this id when it was first recorded with the same words. Raises IdConflict."""
    if known.schedule_id is not None or known.medication_id != medication.id:
        raise IdConflict
    first = DoseEvent.objects.filter(dose=known).earliest("recorded_at")
    said = {name: value for name, value in first.payload.items() if name != "override"}
    if said != payload or taken_at not in (None, first.occurred_at):
        raise IdConflict
    known.medication = medication
    return known


def _as_needed_schedule(medication: Medication, schedule_id: UUID | None) -> Schedule | None:
    if schedule_id is None:
        return None
    schedule = get_object_or_404(Schedule, id=schedule_id, medication=medication, deleted_at=None)
    if schedule.cycle_type != Schedule.CycleType.AS_NEEDED:
        raise field_error("schedule_id", _("This schedule is not as needed."), code="not_as_needed")
    return schedule


def _usual_quantity(medication: Medication, schedule: Schedule | None) -> Decimal:
    schedules = [schedule] if schedule else as_needed_schedules(medication)
    return schedules[0].quantity if schedules else Decimal(1)
