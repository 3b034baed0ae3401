"""Recording that an as-needed medication was taken."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _

from dosing.actions.doses import (
    DoseResult,
    check_intake,
    is_recorded,
    refuse_implausible,
    store_event_id,
    was_over_limit,
)
from dosing.as_needed import usual_quantity
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.status import DoseStatus, EventAction
from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.problems import IdConflict, field_error
from users.actions import lock_user
from users.idempotency import repeated
from users.models import IdempotencyKey, Session, User


@transaction.atomic
def log_intake(
    *,
    medication_id: UUID,
    by: User,
    now: datetime,
    id: UUID | None = None,
    event_id: UUID | None = None,
    session: Session | None = None,
    schedule_id: UUID | None = None,
    taken_at: datetime | None = None,
    quantity: Decimal | None = None,
    note: str = "",
    override: bool = False,
) -> DoseResult:
    """Records an intake as a new dose, taken at the instant `taken_at` (by default `now`).

    `override` lets it exceed the limits of its schedule, and its event records which. An intake beyond what
    is expected of a day is recorded too, as `over_limit`.

    Raises Http404, ValidationError, IdConflict, IntakeTooSoon and DailyLimitReached.
    """
    details = _without_empty(schedule_id=schedule_id, quantity=quantity, note=note)
    event = DoseEvent(id=event_id, action=EventAction.TAKEN, recorded_by=by, session=session)
    event.payload = {name: str(value) for name, value in details.items()}
    sent = _without_empty(medication_id=medication_id, taken_at=taken_at, override=override, **details)
    visible = DoseLog.objects.visible_to(by)
    # Before the medication is read: a repeat returns its dose also after the medication was deleted, and
    # however late it is sent.
    if known := repeated(visible, scope=IdempotencyKey.Scope.INTAKE, id=id, by=by, body=sent):
        # The phone may have made another event id for the same intake: that id is used up, too.
        event.dose = known
        if not is_recorded(event):
            with id_conflicts():
                store_event_id(event)
        return DoseResult(known, changed=False, over_limit=was_over_limit(known))
    medication = get_object_or_404(Medication.objects.visible_to(by), id=medication_id)
    # Two intakes at once wait for each other here, so that the second one is checked against the first.
    medication.user = lock_user(medication.user_id)
    at = taken_at or now
    refuse_implausible("taken_at", at, now=now)
    schedule = _as_needed_schedule(medication, schedule_id)
    amount = quantity or (schedule.quantity if schedule else usual_quantity(medication))
    recorded = check_intake(medication, at, quantity=amount, override=override, schedule=schedule)
    event.payload |= recorded
    # The date is that of the intake, not of the request: a phone may send it days later.
    dose = DoseLog(
        id=id or uuid7(),
        user=medication.user,
        medication=medication,
        log_date=at.astimezone(medication.user.zone).date(),
        quantity=amount,
        status=DoseStatus.TAKEN,
        taken_at=at,
        note=note,
        recorded_by=by,
    )
    event.dose, event.occurred_at, event.recorded_at = dose, at, now
    # Another user's client may use the same id at this moment.
    with id_conflicts():
        if is_recorded(event):
            raise IdConflict
        dose.save(force_insert=True)
        event.save(force_insert=True)
    return DoseResult(dose, changed=True, over_limit="over_limit" in recorded)


def _without_empty(**fields: Any) -> dict[str, Any]:
    """Drops empty values, so that sending a default is the same as leaving it out."""
    return {name: value for name, value in fields.items() if value}


def _as_needed_schedule(medication: Medication, schedule_id: UUID | None) -> Schedule | None:
    if schedule_id is None:
        return None
    schedule = get_object_or_404(Schedule, id=schedule_id, medication=medication, deleted_at=None)
    if schedule.cycle_type != Schedule.CycleType.AS_NEEDED:
        raise field_error("schedule_id", _("This schedule is not as needed."), code="not_as_needed")
    return schedule
