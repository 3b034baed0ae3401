"""Creating and changing medications. What a change means for doses is decided in `dosing`, which reads medications."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404

from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.database.results import ActionResult
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.person_limits import refuse_more
from users.actions import lock_user
from users.idempotency import repeated
from users.models import IdempotencyKey, User
from users.rates import count_edits


@transaction.atomic
def create_medication(*, by: User, id: UUID | None = None, **fields: Any) -> ActionResult[Medication]:
    """A repeated request with the same id returns the medication unchanged.

    Raises IdConflict, LimitReached, TooManyEdits and Http404.
    """
    user = lock_user(by.id)
    mine = Medication.objects.visible_to(user)
    if existing := repeated(mine, scope=IdempotencyKey.Scope.MEDICATION, id=id, by=user, body=fields):
        return ActionResult(existing, changed=False)
    refuse_more("medications", mine)
    count_edits(user)
    with id_conflicts():
        medication = Medication.objects.create(id=id or uuid7(), user_id=user.id, **fields)
    return ActionResult(medication, changed=True)


@transaction.atomic
def update_medication(*, medication_id: UUID, by: User, changes: dict[str, Any]) -> ActionResult[Medication]:
    """Saves only the changed columns, so that two requests that change two fields both win.

    Raises TooManyEdits and Http404.
    """
    user = lock_user(by.id)
    medication: Medication = get_object_or_404(Medication.objects.visible_to(user), id=medication_id)
    count_edits(user)
    for name, value in changes.items():
        setattr(medication, name, value)
    medication.save(update_fields=[*changes, "updated_at"])
    return ActionResult(medication, changed=True)
