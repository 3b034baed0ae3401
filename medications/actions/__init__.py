"""Every write to medications, except those that change doses: these are in `dosing.actions`."""

from medications.actions.medications import create_medication, erase_medications, update_medication

__all__ = ["create_medication", "erase_medications", "update_medication"]
