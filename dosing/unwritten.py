"""Planned doses that are not written yet: their ids are known, because they follow from schedule and date."""

from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from dosing.cycles import Occurrence, occurrence_on, occurrences
from dosing.dose_ids import dose_id as id_of
from dosing.dose_ids import log_date_of
from dosing.models import DoseLog, Schedule
from dosing.planning import RULE_ERRORS, rule_of, window_end, zone_of
from dosing.replanning import lock_schedules, planned_on
from dosing.status import PLANNED, DoseStatus
from users.actions import lock_user
from users.models import User

# A date has more than one occurrence of a schedule only after travel.
ORDINALS = range(4)


class Named(NamedTuple):
    """What the id of a planned dose stands for."""

    schedule: Schedule
    log_date: date
    ordinal: int


def named_by(user: User, dose_id: UUID) -> Named | None:
    """The schedule of the user, deleted ones included, that has or could have a dose with this id."""
    log_date = log_date_of(dose_id)
    if log_date is None:
        return None
    # The hash cannot be inverted, but a user has few schedules.
    for schedule_id in Schedule.objects.filter(medication__user=user).values_list("id", flat=True):
        for ordinal in ORDINALS:
            if id_of(schedule_id, log_date, ordinal) == dose_id:
                return Named(_schedule(schedule_id), log_date, ordinal)
    return None


def find_unwritten(user: User, dose_id: UUID) -> tuple[Schedule, Occurrence] | None:
    """The occurrence of one of the user's schedules that has this id, whether or not it is to be planned."""
    named = named_by(user, dose_id)
    if named is None or named.schedule.deleted_at or named.schedule.medication.deleted_at:
        return None
    try:
        occurrence = occurrence_on(
            rule_of(named.schedule), named.log_date, zone=zone_of(named.schedule), ordinal=named.ordinal
        )
    except RULE_ERRORS:
        return None
    return None if occurrence is None else (named.schedule, occurrence)


def planned_dose(schedule: Schedule, occurrence: Occurrence) -> DoseLog:
    """The dose as it will be written; it is not saved."""
    return DoseLog(
        id=id_of(schedule.id, occurrence.log_date, occurrence.ordinal),
        user_id=schedule.medication.user_id,
        medication=schedule.medication,
        schedule=schedule,
        log_date=occurrence.log_date,
        ordinal=occurrence.ordinal,
        scheduled_time=schedule.scheduled_time,
        due_at=occurrence.due_at,
        quantity=occurrence.quantity,
        status=PLANNED,
        # Their defaults are the database's.
        skip_reason="",
        note="",
    )


def write_planned(named: Named, *, now: datetime) -> DoseLog | None:
    """Writes this dose as the planner would, and returns it; None if the present rule does not have it.

    Its user and schedule stay locked until the end of the transaction.
    """
    lock_user(named.schedule.medication.user_id)
    lock_schedules([named.schedule.id])
    # Read again: it may have been changed before it was locked.
    schedule = _schedule(named.schedule.id)
    try:
        occurrence = planned_on(schedule, named.log_date, named.ordinal)
        if occurrence is None:
            return None
        follower = _follower(schedule, occurrence)
    except RULE_ERRORS:
        return None
    answer_by = window_end(occurrence.due_at, follower)
    dose = planned_dose(schedule, occurrence)
    dose.answer_by = answer_by
    dose.status = DoseStatus.PENDING if answer_by > now else DoseStatus.MISSED
    # One that is written already may have an id from before ids followed from the schedule.
    DoseLog.objects.bulk_create([dose], ignore_conflicts=True)
    key = {"schedule": schedule, "log_date": dose.log_date, "ordinal": dose.ordinal}
    return DoseLog.objects.filter(**key).first()


def _schedule(schedule_id: UUID) -> Schedule:
    return Schedule.objects.select_related("medication__user").get(id=schedule_id)


def _follower(schedule: Schedule, occurrence: Occurrence) -> datetime | None:
    """When the schedule's dose after this one is due."""
    later = occurrences(rule_of(schedule), zone=zone_of(schedule), since=occurrence.due_at)
    return next((other.due_at for other in later if other.due_at > occurrence.due_at), None)
