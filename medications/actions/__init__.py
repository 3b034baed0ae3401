"""Writing down what is taken. What a change means for doses is `dosing`'s, which reads medications."""

from typing import Any
from uuid import UUID

from django.db import transaction

from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.database.unique_ids import taken_ids_are_conflicts
from medtrack.http.person_limits import refuse_more
from users.actions import take_turn
from users.idempotency import repeated
from users.models import IdempotencyKey, User
from users.rates import count_edits


@transaction.atomic
def create_medication(*, by: User, id: UUID | None = None, **fields: Any) -> tuple[Medication, bool]:
    """The medication and whether it is new. Raises IdConflict, LimitReached, TooManyEdits and Http404."""
    take_turn(by.id)
    mine = Medication.objects.visible_to(by)
    if found := repeated(mine, scope=IdempotencyKey.Scope.MEDICATION, id=id, by=by, said=fields):
        return found, False
    refuse_more("medications", mine)
    count_edits(by)
    with taken_ids_are_conflicts():
        return Medication.objects.create(id=id or uuid7(), user_id=by.id, **fields), True


@transaction.atomic
def update_medication(*, medication: Medication, changes: dict[str, Any]) -> Medication:
    """Saves only the changed columns, so that two clients changing two fields both win.

    Raises TooManyEdits and Http404.
    """
    count_edits(take_turn(medication.user_id))
    for name, value in changes.items():
        setattr(medication, name, value)
    medication.save(update_fields=[*changes, "updated_at"])
    return medication
