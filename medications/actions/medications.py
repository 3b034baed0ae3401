"""Creating medications, and saving a changed one as a new version.

What a change means for doses is decided in `dosing`, which reads medications.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from medications.actions.events import changes_between, record_event
from medications.models import DESCRIPTION_FIELDS, Medication, MedicationEvent
from medications.serializers import WrittenMedication
from medtrack.database.ids import uuid7
from medtrack.database.results import ActionResult
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.person_limits import refuse_more
from medtrack.http.responses import serialized
from users.actions import lock_user
from users.idempotency import repeated
from users.models import IdempotencyKey, User
from users.rates import count_edits


@transaction.atomic
def create_medication(
    *, by: User, now: datetime, id: UUID | None = None, **fields: Any
) -> ActionResult[Medication]:
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
    changes = changes_between({}, written_fields(medication))
    record_event(medication, MedicationEvent.Action.CREATED, by=user, now=now, changes=changes)
    return ActionResult(medication, changed=True)


def written_fields(medication: Medication) -> dict[str, Any]:
    """The fields that users write, pauses included, as they are in the API."""
    fields: dict[str, Any] = serialized(WrittenMedication, medication)
    return fields


def save_version(
    medication: Medication,
    action: MedicationEvent.Action,
    *,
    fields: dict[str, Any],
    by: User | None,
    now: datetime,
) -> None:
    """Saves these values as the next version of the medication, with an event.

    In a transaction that has locked the user. Saves only the given columns.
    """
    before = written_fields(medication)
    columns = {**fields, "version": medication.version + 1}
    if not fields.keys().isdisjoint(DESCRIPTION_FIELDS):
        columns["described_at"] = now
    for name, value in columns.items():
        setattr(medication, name, value)
    medication.save(update_fields=[*columns, "updated_at"])
    changes = changes_between(before, written_fields(medication))
    record_event(medication, action, by=by, now=now, changes=changes)
