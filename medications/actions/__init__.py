"""Every write to medications that leaves doses alone; the others are in `dosing.actions`."""

from medications.actions.erasing import erase_medications
from medications.actions.medications import create_medication, update_medication

__all__ = ["create_medication", "erase_medications", "update_medication"]
