"""Recording that an as-needed medication was taken."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _

from dosing.actions.checks import add_limits, check_intake, check_time
from dosing.actions.doses import DoseResult, result_of
from dosing.actions.events import recorded_payload, store_event_id
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
    offline: bool = False,
) -> DoseResult:
    """Records an intake as a new dose, taken at the instant `taken_at` (by default `now`).

    `override` lets it exceed the limits of its schedule, and its event records which. An intake beyond what
    is expected of a day is recorded too, as `over_limit`. One from a phone that was `offline` is recorded in
    any case, also if its medication was deleted meanwhile.

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
        recorded = recorded_payload(event)
        if recorded is None:
            store_event_id(event)
        return result_of(known, recorded or {}, changed=False)
    living = Medication.objects.filter(user=by) if offline else Medication.objects.visible_to(by)
    medication = get_object_or_404(living, id=medication_id)
    # Two intakes at once wait for each other here, so that the second one is checked against the first.
    medication.user = lock_user(medication.user_id)
    event.occurred_at, event.recorded_at = taken_at or now, now
    check_time(event, field="taken_at", is_lenient=offline)
    at = event.occurred_at
    schedule = _as_needed_schedule(medication, schedule_id, is_offline=offline)
    amount = quantity or (schedule.quantity if schedule else usual_quantity(medication))
    recorded = check_intake(medication, at, quantity=amount, override=override or offline, schedule=schedule)
    add_limits(event, recorded, is_meant=override)
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
    event.dose = dose
    # Another user's client may use the same id at this moment.
    with id_conflicts():
        if recorded_payload(event) is not None:
            raise IdConflict
        dose.save(force_insert=True)
        event.save(force_insert=True)
    return result_of(dose, event.payload, changed=True)


def _without_empty(**fields: Any) -> dict[str, Any]:
    """Drops empty values, so that sending a default is the same as leaving it out."""
    return {name: value for name, value in fields.items() if value}


def _as_needed_schedule(
    medication: Medication, schedule_id: UUID | None, *, is_offline: bool
) -> Schedule | None:
    if schedule_id is None:
        return None
    schedule = get_object_or_404(Schedule, id=schedule_id, medication=medication)
    if schedule.deleted_at:
        # The intake is recorded by the limits that the medication has now.
        if is_offline:
            return None
        raise Http404
    if schedule.cycle_type != Schedule.CycleType.AS_NEEDED:
        raise field_error("schedule_id", _("This schedule is not as needed."), code="not_as_needed")
    return schedule
