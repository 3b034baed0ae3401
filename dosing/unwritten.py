"""Planned doses that are not written yet: their ids are known, because they follow from schedule and date."""

from uuid import UUID

from dosing.cycles import Occurrence, occurrence_on
from dosing.dose_ids import dose_id as id_of
from dosing.dose_ids import log_date_of
from dosing.models import Schedule
from dosing.planning import RULE_ERRORS, rule_of, zone_of
from users.models import User

# A date has more than one occurrence of a schedule only after travel.
ORDINALS = range(4)


def find_unwritten(user: User, dose_id: UUID) -> tuple[Schedule, Occurrence] | None:
    """The occurrence of one of the user's schedules that has this id, whether or not it is to be planned."""
    log_date = log_date_of(dose_id)
    if log_date is None:
        return None
    for schedule in Schedule.objects.visible_to(user).select_related("medication__user"):
        for ordinal in ORDINALS:
            if id_of(schedule.id, log_date, ordinal) != dose_id:
                continue
            try:
                occurrence = occurrence_on(
                    rule_of(schedule), log_date, zone=zone_of(schedule), ordinal=ordinal
                )
            except RULE_ERRORS:
                return None
            return None if occurrence is None else (schedule, occurrence)
    return None
