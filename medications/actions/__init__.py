"""Every write to medications that leaves doses alone; the others are in `dosing.actions`."""

from medications.actions.erasing import erase_medications
from medications.actions.events import changes_between, record_event, record_events
from medications.actions.medications import create_medication, save_version, written_fields

__all__ = [
    "changes_between",
    "create_medication",
    "erase_medications",
    "record_event",
    "record_events",
    "save_version",
    "written_fields",
]
