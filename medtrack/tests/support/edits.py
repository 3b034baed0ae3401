"""Edits of medications and schedules at chosen instants, with the events that they leave."""

from datetime import datetime

from medications.models import DESCRIPTION_FIELDS, Medication, MedicationEvent


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
