"""What was taken stays what it was: an answered dose's medication as it was described at the answer.

Nothing is copied into doses. Each edit of a medication's description leaves an event with the description
before it; the SQL function `medtrack_description_at` finds the one that held at an instant.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import DateTimeField, F, Func, JSONField

from medications.models import DESCRIPTION_FIELDS, Medication
from medtrack.database.statements import Statement

if TYPE_CHECKING:
    from dosing.models import DoseLog

# Null if the medication is described now as it was then. Reads dose_logs as d and medications as m.
EARLIER_DESCRIPTION = """medtrack_description_at(
    m.id, m.described_at, medtrack_answered_at(d.status, d.taken_at, d.skipped_at, d.due_at)
)::text"""
_OF_ONE = Statement("""
    SELECT medtrack_description_at(
        %(medication_id)s, %(described_at)s,
        medtrack_answered_at(%(status)s, %(taken_at)s, %(skipped_at)s, %(due_at)s)
    )::text
""")


@dataclass(frozen=True, slots=True)
class DescribedMedication:
    """A medication as it was at an instant; `color_tag` and `current_name` are the present ones."""

    id: UUID
    name: str
    dosage: str
    strength: str
    form: str
    unit: str
    color_tag: str
    current_name: str


def described(medication: Medication, earlier: Mapping[str, str] | None) -> DescribedMedication:
    """The medication with an `earlier` description, or as it is."""
    description = earlier or {name: getattr(medication, name) for name in DESCRIPTION_FIELDS}
    return DescribedMedication(
        id=medication.id,
        color_tag=medication.color_tag,
        current_name=medication.name,
        **{name: description[name] for name in DESCRIPTION_FIELDS},
    )


def earlier_description(dose: "DoseLog") -> dict[str, str] | None:
    """The description that held when the dose was answered, or None if it is the present one.

    Lists read it with their rows (`DoseLogQuerySet.described`). For a single dose, which an action may just have
    changed, it is read here, unless its medication was never described otherwise.
    """
    if "earlier" in dose.__dict__:
        listed: dict[str, str] | None = dose.__dict__["earlier"]
        return listed
    if dose.medication.described_at is None:
        return None
    (found,) = _OF_ONE.one(
        medication_id=dose.medication_id,
        described_at=dose.medication.described_at,
        status=dose.status,
        taken_at=dose.taken_at,
        skipped_at=dose.skipped_at,
        due_at=dose.due_at,
    )
    return None if found is None else json.loads(found)


def description_at(medication: str, at: Any) -> Func:
    """The same for Django's queries: as of the instant `at`, of the medication by this lookup."""
    return Func(
        F(f"{medication}_id"),
        F(f"{medication}__described_at"),
        at,
        function="medtrack_description_at",
        output_field=JSONField(null=True),
    )


def answered_at() -> Func:
    """The instant of a dose's answer for Django's queries; null for a pending one."""
    columns = (F("status"), F("taken_at"), F("skipped_at"), F("due_at"))
    return Func(*columns, function="medtrack_answered_at", output_field=DateTimeField())
