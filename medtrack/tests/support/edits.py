"""Edits of medications and schedules at chosen instants."""

from datetime import datetime
from typing import Any

from dosing.actions.medications import update_medication
from dosing.actions.schedules import update_schedule
from dosing.models import Schedule
from medications.models import Medication


def describe(medication: Medication, *, at: datetime, **changes: Any) -> None:
    """Changes fields of the medication at this instant."""
    update_medication(medication_id=medication.id, by=medication.user, changes=changes, now=at)


def edit_rule(schedule: Schedule, *, at: datetime, **changes: Any) -> None:
    """Changes fields of the schedule at this instant."""
    update_schedule(schedule_id=schedule.id, by=schedule.medication.user, changes=changes, now=at)
    schedule.refresh_from_db()
