"""A schedule that is deleted and made anew does not ask a second time for a dose that was taken."""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q

from dosing.cycles import Travel, due_instant
from dosing.models import DoseLog, Schedule
from dosing.planning import rule_of, zone_of
from dosing.status import DoseStatus
from medications.models import MedicationEvent

# For how long after its deletion a schedule can be made anew.
LOOK_BACK = timedelta(days=2)
# How long after an intake its dose is not asked for again, at most.
LONGEST = timedelta(hours=24)
_DAY_IN_MINUTES = 24 * 60


def after_last_intake(schedule: Schedule, *, now: datetime) -> Travel | None:
    """How a new schedule begins: doses within half its usual gap of the last intake are left out.

    That is the last intake of the schedule that the new one replaces, or one without a schedule. None if it
    replaces none, or the intake is longer ago.
    """
    if schedule.scheduled_time is None:
        return None
    replaced = _replaced(schedule.medication_id, schedule.scheduled_time, now)
    if replaced is None:
        return None
    taken = DoseLog.objects.filter(
        Q(schedule=replaced) | Q(schedule=None),
        user_id=schedule.medication.user_id,
        medication_id=schedule.medication_id,
        status=DoseStatus.TAKEN,
        log_date__gte=(now - 2 * LOOK_BACK).date(),
    )
    # A dose that was taken early stands for the instant at which it was due.
    instants: Any = taken.values_list("taken_at", "due_at")
    intakes = [(max(taken_at, due_at or taken_at), taken_at) for taken_at, due_at in instants]
    if not intakes:
        return None
    last, taken_at = max(intakes)
    not_before = _not_before(schedule, last)
    return Travel(last_due_at=taken_at, not_before=not_before) if not_before > now else None


def _not_before(schedule: Schedule, last: datetime) -> datetime:
    if gap := rule_of(schedule).cycle.usual_gap():
        return last + min(gap / 2, LONGEST)
    # Single dates have no usual gap: only the date of the intake is left out.
    zone = zone_of(schedule)
    return due_instant(last.astimezone(zone).date() + timedelta(days=1), time(), zone)


def _replaced(medication_id: UUID, at: time, now: datetime) -> UUID | None:
    """The deleted schedule that a new one at this time of day replaces: the nearest of the medication.

    Each is replaced once, so that one that is added, such as a second time of day, is asked for.
    """
    deleted: dict[UUID, int] = {}
    events = MedicationEvent.objects.filter(
        medication_id=medication_id,
        action__in=[MedicationEvent.Action.SCHEDULE_DELETED, MedicationEvent.Action.SCHEDULE_CREATED],
        recorded_at__gt=now - LOOK_BACK,
    )
    for event in events.order_by("recorded_at", "id"):
        before, after = event.changes.get("scheduled_time", (None, None))
        if before is not None and event.schedule_id:
            deleted[event.schedule_id] = _minutes(time.fromisoformat(before))
        elif after is not None and deleted:
            del deleted[_nearest(deleted, time.fromisoformat(after))]
    return _nearest(deleted, at) if deleted else None


def _nearest(times: dict[UUID, int], at: time) -> UUID:
    def distance(schedule_id: UUID) -> int:
        apart = abs(times[schedule_id] - _minutes(at))
        return min(apart, _DAY_IN_MINUTES - apart)

    return min(times, key=distance)


def _minutes(at: time) -> int:
    return at.hour * 60 + at.minute
