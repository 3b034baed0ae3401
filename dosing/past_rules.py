"""A schedule's rule as it was, read backwards from the events that its edits leave.

An event has the values before and after of what it changed, in the form of the API.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from dosing.cycles import Occurrence, occurrence_on
from dosing.models import DoseLog, Schedule
from dosing.planning import RULE_ERRORS, rule_of, zone_of
from medications.models import MedicationEvent

# How a field of the API is read back into the column of the same name.
_COLUMNS: Mapping[str, Callable[[Any], Any]] = {
    "scheduled_time": time.fromisoformat,
    "timezone": str,
    "cycle_type": str,
    "cycle_value": lambda value: value,
    "quantity": Decimal,
    "start_date": date.fromisoformat,
    "end_date": date.fromisoformat,
    "is_active": bool,
}
# Before its creation, a schedule had no values.
_EDITS = (MedicationEvent.Action.SCHEDULE_CHANGED, MedicationEvent.Action.SCHEDULE_DELETED)


def schedule_before(schedule: Schedule, event: MedicationEvent) -> Schedule:
    """A copy of the schedule, as it was before an event about it or its medication."""
    before = copy(schedule)
    if event.schedule_id != schedule.id:
        return before
    if event.action == MedicationEvent.Action.TRAVELLED:
        # The person's own zone, whose clock the schedule followed.
        before.timezone, before.travel = event.changes["timezone"][0], None
    elif event.action in _EDITS:
        for name in _COLUMNS.keys() & event.changes.keys():
            value, _after = event.changes[name]
            setattr(before, name, None if value is None else _COLUMNS[name](value))
    return before


def schedule_at(schedule: Schedule, at: datetime, *, events: Iterable[MedicationEvent]) -> Schedule:
    """A copy of the schedule as it was at the instant `at`; `events` are those about it and
    its medication, newest first."""
    for event in events:
        if event.recorded_at <= at:
            break
        schedule = schedule_before(schedule, event)
    return copy(schedule)


def occurrence_of(schedule: Schedule, log_date: date, ordinal: int = 0) -> Occurrence | None:
    """The occurrence of the schedule's rule with this date and ordinal. None also if the rule is damaged."""
    try:
        return occurrence_on(rule_of(schedule), log_date, zone=zone_of(schedule), ordinal=ordinal)
    except RULE_ERRORS:
        return None


def planned_quantity_at(dose: DoseLog, at: datetime) -> Decimal:
    """The planned quantity of a dose that is answered as of the instant `at`, or open again at `at`.

    A phone may report after an edit what was taken before it: the dose then has the quantity of before. An
    answer that is taken back gives it the present quantity again. A dose that was due when its rule was
    changed keeps its quantity.
    """
    schedule = dose.schedule
    if schedule is None or dose.due_at is None:
        return dose.quantity
    changed_at = schedule.rule_changed_at
    if changed_at is None or dose.due_at <= changed_at:
        return dose.quantity
    if at < changed_at:
        events = MedicationEvent.objects.filter(schedule_id=schedule.id, recorded_at__gt=at)
        schedule = schedule_at(schedule, at, events=events.order_by("-recorded_at", "-id"))
    planned = occurrence_of(schedule, dose.log_date, dose.ordinal)
    # A dose may have stayed where it was, because its new time had passed already.
    if planned is None or (at >= changed_at and planned.due_at != dose.due_at):
        return dose.quantity
    return planned.quantity
