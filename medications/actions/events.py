"""The record of changes: each write to a medication or one of its schedules adds an event in its transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from medications.models import DESCRIPTION_FIELDS, Medication, MedicationEvent
from users.models import User

# By the name of the field: its value before and after.
Changes = Mapping[str, list[Any]]


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """By the name of the field: its value before and after, where these differ. A missing one is null."""
    values = {name: [before.get(name), after.get(name)] for name in dict.fromkeys([*before, *after])}
    return {name: pair for name, pair in values.items() if pair[0] != pair[1]}


def record_event(
    medication: Medication,
    action: MedicationEvent.Action,
    *,
    by: User | None,
    now: datetime,
    changes: Changes | None = None,
    schedule_id: UUID | None = None,
) -> None:
    """Records a change. `medication` is as it is after the change; without `by` the system made it.

    `changes` have the form of `changes_between`. With a `schedule_id` they are about that schedule.
    """
    record_events(medication, action, by=by, now=now, changes={schedule_id: changes or {}})


def record_events(
    medication: Medication,
    action: MedicationEvent.Action,
    *,
    by: User | None,
    now: datetime,
    changes: Mapping[UUID, Changes] | Mapping[UUID | None, Changes],
) -> None:
    """Records the same action on several schedules of a medication: `changes` are by the schedule's id."""
    MedicationEvent.objects.bulk_create(
        MedicationEvent(
            medication=medication,
            schedule_id=schedule_id,
            action=action,
            recorded_at=now,
            recorded_by=by,
            changes=of_one,
            description=None if schedule_id else _description_before(medication, action, of_one),
        )
        for schedule_id, of_one in changes.items()
    )


def _description_before(
    medication: Medication, action: MedicationEvent.Action, changes: Changes
) -> dict[str, Any] | None:
    """The fields that describe the medication, if one of them changed. At its creation it had none before."""
    if action == MedicationEvent.Action.CREATED or changes.keys().isdisjoint(DESCRIPTION_FIELDS):
        return None
    return {
        name: changes[name][0] if name in changes else getattr(medication, name)
        for name in DESCRIPTION_FIELDS
    }
