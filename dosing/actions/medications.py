"""Changing a medication. Archiving it and bringing it back re-plans its doses."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404

from dosing.models import Schedule
from dosing.replanning import replanning
from medications.actions import save_version
from medications.models import Medication, MedicationEvent
from medications.serializers import MedicationOutput
from medtrack.database.results import ActionResult
from medtrack.http.preconditions import check_version
from users.actions import lock_user
from users.models import User
from users.rates import count_edits

Action = MedicationEvent.Action


@transaction.atomic
def update_medication(
    *,
    medication_id: UUID,
    by: User,
    changes: dict[str, Any],
    now: datetime,
    allowed_versions: frozenset[int] | None = None,
) -> ActionResult[Medication]:
    """Changes a medication. Archived (`is_active` false) it has no doses; brought back it has them from `now`.

    Saves only the changed columns, so that two requests that change two fields both win. Raises Changed,
    TooManyEdits and Http404.
    """
    user = lock_user(by.id)
    medication: Medication = get_object_or_404(Medication.objects.visible_to(user), id=medication_id)
    check_version(medication, allowed_versions, output=MedicationOutput)
    count_edits(user)
    changed = {name: value for name, value in changes.items() if getattr(medication, name) != value}
    if not changed:
        return ActionResult(medication, changed=False)
    if "is_active" not in changed:
        save_version(medication, Action.CHANGED, fields=changed, by=user, now=now)
        return ActionResult(medication, changed=True)
    with replanning(living_schedules(medication), now=now):
        action = Action.RESTORED if changed["is_active"] else Action.ARCHIVED
        save_version(medication, action, fields=changed, by=user, now=now)
    return ActionResult(medication, changed=True)


def living_schedules(medication: Medication) -> list[UUID]:
    return list(Schedule.objects.filter(medication=medication, deleted_at=None).values_list("id", flat=True))
