"""What becomes of a dose whose answer is taken back: it is awaited again, unless the plan no longer has it."""

from datetime import datetime, time, timedelta
from typing import Any

from dosing.cycles import due_instant
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.planning import plan_schedules, window_end, zone_of
from dosing.replanning import replan
from dosing.status import EventAction

# A reopened dose is awaited at least so long.
AT_LEAST = timedelta(hours=1)
LAST_MINUTE = time(23, 59)
# The events after which a dose is answered, snoozed, or open again.
ANSWERS = [EventAction.TAKEN, EventAction.SKIPPED, EventAction.SNOOZED, EventAction.REOPENED]


def latest_answer(dose: DoseLog) -> DoseEvent | None:
    return dose.events.filter(action__in=ANSWERS).order_by("-recorded_at", "-id").first()


def reopened(dose: DoseLog, *, now: datetime) -> dict[str, Any]:
    """The columns of a planned dose that say how long its answer is awaited again."""
    assert dose.schedule_id is not None  # noqa: S101 - it is planned
    assert dose.due_at is not None  # noqa: S101 - it is planned
    schedule = Schedule.objects.select_related("medication__user").get(id=dose.schedule_id)
    if dose.due_at <= now and (dose.withdrawn_at or not _is_in_plan(dose, schedule, now)):
        return {"withdrawn_at": dose.withdrawn_at or now, "answer_by": None}
    until = max(due_instant(dose.log_date, LAST_MINUTE, zone_of(schedule)), now + AT_LEAST)
    # One that is still to come and was withdrawn comes back when it follows the plan.
    end = None if dose.withdrawn_at else max(dose.answer_by or window_end(dose.due_at, None), until)
    return {"reopened_until": until, "answer_by": end}


def follow_plan(dose: DoseLog, *, now: datetime) -> None:
    """Lets a reopened dose follow what was changed while it was answered, if it is still to come."""
    if dose.due_at is None or dose.due_at <= now or dose.schedule_id is None:
        return
    # What fell due by now and is not planned yet has to be: re-planning goes on from now.
    plan_schedules(schedule_ids=[dose.schedule_id], now=now)
    replan([dose.schedule_id], now=now)
    dose.refresh_from_db()


def _is_in_plan(dose: DoseLog, schedule: Schedule, now: datetime) -> bool:
    """Whether a dose that was due still counts.

    The cycle and the time are not compared: what they were changed to holds from the change on.
    """
    start, end = schedule.span
    is_in_span = start <= dose.log_date and (end is None or dose.log_date <= end)
    paused_until = schedule.medication.paused_until
    is_paused = paused_until is not None and paused_until > now
    return schedule.is_wanted and is_in_span and not is_paused and schedule.medication.user.is_active
