"""Writing down what is taken. What a change means for doses is `dosing`'s, which reads medications."""

from typing import Any
from uuid import UUID

from django.db import transaction

from medications.models import Medication
from medtrack.common.creation import create_once
from users.models import User


def create_medication(*, by: User, id: UUID | None = None, **fields: Any) -> tuple[Medication, bool]:
    """The medication and whether it is new. Raises IdConflict."""
    return create_once(Medication.objects.all(), id=id, user_id=by.id, **fields)


@transaction.atomic
def update_medication(*, medication: Medication, changes: dict[str, Any]) -> Medication:
    """Saves only the changed columns, so that two clients changing two fields both win."""
    for name, value in changes.items():
        setattr(medication, name, value)
    medication.save(update_fields=[*changes, "updated_at"])
    return medication
