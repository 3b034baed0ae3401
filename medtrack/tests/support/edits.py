"""Edits of medications and schedules at chosen instants, with the events that they leave."""

from datetime import datetime
from typing import Any
from uuid import UUID

from dosing.actions.schedules import update_schedule
from dosing.models import Schedule
from dosing.serializers import ScheduleInput
from medications.models import DESCRIPTION_FIELDS, Medication, MedicationEvent
from medtrack.http.responses import serialized


def record(
    medication: Medication,
    action: MedicationEvent.Action,
    *,
    at: datetime,
    changes: dict[str, Any] | None = None,
    schedule_id: UUID | None = None,
) -> None:
    """Records that the user made this change at this instant."""
    MedicationEvent.objects.create(
        medication=medication,
        schedule_id=schedule_id,
        action=action,
        recorded_at=at,
        recorded_by=medication.user,
        changes=changes or {},
    )


def describe(medication: Medication, *, at: datetime, **changes: str) -> None:
    """Changes some of DESCRIPTION_FIELDS at this instant."""
    medication.refresh_from_db()
    before = {name: getattr(medication, name) for name in DESCRIPTION_FIELDS}
    MedicationEvent.objects.create(
        medication=medication,
        action=MedicationEvent.Action.CHANGED,
        recorded_at=at,
        recorded_by=medication.user,
        changes={name: [before[name], value] for name, value in changes.items()},
        description=before,
    )
    Medication.objects.filter(id=medication.id).update(described_at=at, **changes)


def edit_rule(schedule: Schedule, *, at: datetime, **changes: Any) -> None:
    """Changes fields of the schedule at this instant; the values are those of the API."""
    before = serialized(ScheduleInput, Schedule.objects.get(id=schedule.id))
    update_schedule(schedule_id=schedule.id, by=schedule.medication.user, changes=changes, now=at)
    schedule.refresh_from_db()
    after = serialized(ScheduleInput, schedule)
    MedicationEvent.objects.create(
        medication=schedule.medication,
        schedule_id=schedule.id,
        action=MedicationEvent.Action.SCHEDULE_CHANGED,
        recorded_at=at,
        recorded_by=schedule.medication.user,
        changes={name: [before[name], after[name]] for name in after if before[name] != after[name]},
    )
