"""Cloning a medication with its schedules."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.shortcuts import get_object_or_404

from dosing.models import Schedule
from dosing.replanning import replan
from dosing.serializers import ScheduleInput
from medications.actions import changes_between, record_event, record_events, written_fields
from medications.models import Medication, MedicationEvent
from medtrack.database.ids import uuid7
from medtrack.database.results import ActionResult
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.person_limits import refuse_more
from medtrack.http.responses import serialized
from users.actions import lock_user
from users.idempotency import repeated
from users.models import IdempotencyKey, User
from users.rates import count_edits

# All other columns are copied, also those of later migrations. Stock and a pause belong to one medication
# only.
OWN_COLUMNS_OF_MEDICATION = {
    "id",
    "user_id",
    "paused_at",
    "paused_until",
    "described_at",
    "version",
    "stock_quantity",
    "created_at",
    "updated_at",
    "deleted_at",
}
OWN_COLUMNS_OF_SCHEDULE = {
    "id",
    "medication_id",
    "start_date",
    "planned_until",
    "travel",
    "rule_changed_at",
    "plan_error",
    "version",
    "created_at",
    "updated_at",
    "deleted_at",
}


@transaction.atomic
def clone_medication(
    *, medication_id: UUID, by: User, now: datetime, id: UUID | None = None, name: str | None = None
) -> ActionResult[Medication]:
    """Creates a medication like this one, with its schedules, and plans their doses.

    The new schedules start on the user's local date of `now`, or when the copied ones will start later.
    Schedules that have ended are not copied. Raises Http404, IdConflict, LimitReached and TooManyEdits.
    """
    user = lock_user(by.id)
    visible = Medication.objects.visible_to(user)
    sent = {"clone_of": medication_id} | ({} if name is None else {"name": name})
    # Before the original is read: it may have been deleted since the first request.
    if known := repeated(visible, scope=IdempotencyKey.Scope.MEDICATION, id=id, by=user, body=sent):
        return ActionResult(known, changed=False)
    original = get_object_or_404(visible, id=medication_id)
    clone = Medication(id=id or uuid7(), user=user, **_copied(original, OWN_COLUMNS_OF_MEDICATION))
    clone.name = name or clone.name
    today = now.astimezone(user.zone).date()
    not_ended = Q(end_date=None) | Q(end_date__gte=today)
    schedules = [
        Schedule(
            medication=clone,
            # An earlier start would plan doses before the clone existed.
            start_date=max(today, schedule.start_date),
            **_copied(schedule, OWN_COLUMNS_OF_SCHEDULE),
        )
        for schedule in Schedule.objects.filter(not_ended, medication=original, deleted_at=None).order_by(
            "id"
        )
    ]
    # All schedules count at once: with only some of them it would be another treatment.
    refuse_more("medications", visible)
    refuse_more("schedules", Schedule.objects.visible_to(user), new=len(schedules))
    # As many edits as if the rows had been created one by one, or cloning would be a way around the limit.
    count_edits(user, 1 + len(schedules))
    with id_conflicts():
        clone.save(force_insert=True)
    # Outside the block above: only the id of the medication is made by the client and can be in use.
    Schedule.objects.bulk_create(schedules)
    replan([schedule.id for schedule in schedules], now=now)
    clone.refresh_from_db()
    changes = changes_between({}, written_fields(clone))
    record_event(clone, MedicationEvent.Action.CREATED, by=user, now=now, changes=changes)
    of_schedules = {
        schedule.id: changes_between({}, serialized(ScheduleInput, schedule)) for schedule in schedules
    }
    action = MedicationEvent.Action.SCHEDULE_CREATED
    record_events(clone, action, by=user, now=now, changes=of_schedules)
    return ActionResult(clone, changed=True)


def _copied(row: Medication | Schedule, own: Collection[str]) -> dict[str, Any]:
    names = [field.attname for field in row._meta.concrete_fields if field.attname not in own]
    return {name: getattr(row, name) for name in names}
