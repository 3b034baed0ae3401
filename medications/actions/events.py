"""The record of changes: each write to a medication or one of its schedules adds an event in its transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from medications.models import DESCRIPTION_FIELDS, Medication, MedicationEvent
from users.models import User


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
    changes: Mapping[str, list[Any]] | None = None,
    schedule_id: UUID | None = None,
) -> None:
    """Records a change. `medication` is as it is after the change; without `by` the system made it.

    `changes` have the form of `changes_between`. With a `schedule_id` they are about that schedule.
    """
    changes = changes or {}
    description = None
    # At its creation it had no description before.
    if action != MedicationEvent.Action.CREATED and not changes.keys().isdisjoint(DESCRIPTION_FIELDS):
        present = {name: [getattr(medication, name)] for name in DESCRIPTION_FIELDS}
        description = {name: (changes.get(name) or present[name])[0] for name in DESCRIPTION_FIELDS}
    MedicationEvent.objects.create(
        medication=medication,
        schedule_id=schedule_id,
        action=action,
        recorded_at=now,
        recorded_by=by,
        changes=changes,
        description=description,
    )
