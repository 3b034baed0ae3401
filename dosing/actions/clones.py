"""Beginning a medicine anew, with the schedules of one that is there."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.shortcuts import get_object_or_404

from dosing.models import Schedule
from dosing.replanning import replan
from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.database.unique_ids import taken_ids_are_conflicts
from medtrack.http.person_limits import refuse_more
from users.actions import lock_user
from users.idempotency import repeated
from users.models import IdempotencyKey, User
from users.rates import count_edits

# Not its stock, of which there is one, nor that it is paused.
_OF_MEDICATION = (
    "name",
    "dosage",
    "form",
    "strength",
    "unit",
    "color_tag",
    "memo",
    "is_active",
    "low_stock_threshold",
    "expires_on",
)
_OF_SCHEDULE = (
    "scheduled_time",
    "cycle_type",
    "cycle_value",
    "quantity",
    "meal_relation",
    "end_date",
    "is_active",
    "reminder_enabled",
)


@transaction.atomic
def clone_medication(
    *, medication_id: UUID, by: User, now: datetime, id: UUID | None = None, name: str | None = None
) -> tuple[Medication, bool]:
    """A new medication like this one, planned, and whether it is new.

    Its schedules begin today, or when the copied ones will; those that are over are left behind. Raises Http404,
    IdConflict, LimitReached and TooManyEdits.
    """
    person = lock_user(by.id)
    mine = Medication.objects.visible_to(person)
    said = {"clone_of": medication_id} | ({} if name is None else {"name": name})
    if found := repeated(mine, scope=IdempotencyKey.Scope.MEDICATION, id=id, by=person, said=said):
        return found, False
    original = get_object_or_404(mine, id=medication_id)
    clone = Medication(id=id or uuid7(), user=person, **_copied(original, _OF_MEDICATION))
    clone.name = name or clone.name
    schedules = _schedules(original, clone, today=now.astimezone(person.zone).date())
    refuse_more("medications", mine)
    refuse_more("schedules", Schedule.objects.visible_to(person), new=len(schedules))
    count_edits(person, 1 + len(schedules))
    with taken_ids_are_conflicts():
        clone.save(force_insert=True)
    Schedule.objects.bulk_create(schedules)
    replan([schedule.id for schedule in schedules], now=now)
    clone.refresh_from_db()
    return clone, True


def _schedules(original: Medication, clone: Medication, *, today: date) -> list[Schedule]:
    living = Schedule.objects.filter(Q(end_date=None) | Q(end_date__gte=today), medication=original)
    return [
        Schedule(
            medication=clone, start_date=max(today, schedule.start_date), **_copied(schedule, _OF_SCHEDULE)
        )
        for schedule in living.filter(deleted_at=None).order_by("id")
    ]


def _copied(row: Medication | Schedule, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}
