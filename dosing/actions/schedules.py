"""Writes that change when doses fall due. What they mean for the future is planned in the same transaction.

All writes about one person take turns on the person's row; the planner, which does not, locks schedules.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404

from dosing.models import Schedule
from dosing.replanning import Move, replan, replanning
from dosing.schedule_rules import check
from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.database.unique_ids import taken_ids_are_conflicts
from medtrack.http.person_limits import refuse_more
from users.actions import lock_user
from users.idempotency import repeated
from users.models import IdempotencyKey, User
from users.rates import count_edits, count_zone_change

PLANNED_FIELDS = {
    "scheduled_time",
    "cycle_type",
    "cycle_value",
    "quantity",
    "start_date",
    "end_date",
    "is_active",
}


@transaction.atomic
def create_schedule(
    *, medication: Medication, now: datetime, id: UUID | None = None, **fields: Any
) -> tuple[Schedule, bool]:
    """The schedule, planned, and whether it is new; it starts today unless told otherwise.

    Raises ValidationError, IdConflict, LimitReached, TooManyEdits and Http404.
    """
    person = lock_user(medication.user_id)
    get_object_or_404(Medication, id=medication.id, deleted_at=None)
    living = Schedule.objects.visible_to(person)
    said = {"medication_id": medication.id, **fields}
    if found := repeated(living, scope=IdempotencyKey.Scope.SCHEDULE, id=id, by=person, said=said):
        return found, False
    schedule = Schedule(
        **{"id": id or uuid7(), "start_date": now.astimezone(person.zone).date(), **said},
    )
    check(schedule)
    refuse_more("schedules", living)
    count_edits(person)
    with taken_ids_are_conflicts():
        schedule.save(force_insert=True)
    replan([schedule.id], now=now)
    schedule.refresh_from_db()
    return schedule, True


@transaction.atomic
def update_schedule(*, schedule: Schedule, changes: dict[str, Any], now: datetime) -> Schedule:
    """Re-plans the future when the rule changed; what was due stays as it was.

    Raises ValidationError, TooManyEdits and Http404.
    """
    count_edits(lock_user(schedule.medication.user_id))
    schedule = get_object_or_404(Schedule, id=schedule.id, deleted_at=None)
    changed = {name: value for name, value in changes.items() if getattr(schedule, name) != value}
    for name, value in changed.items():
        setattr(schedule, name, value)
    check(schedule)
    if PLANNED_FIELDS.isdisjoint(changed):
        _save_version(schedule, changed)
    else:
        with replanning([schedule.id], now=now):
            _save_version(schedule, changed)
    schedule.refresh_from_db()
    return schedule


@transaction.atomic
def delete_schedule(*, schedule: Schedule, now: datetime) -> None:
    """Soft: its past doses stay, its future ones go. Raises TooManyEdits and Http404."""
    count_edits(lock_user(schedule.medication.user_id))
    _delete([schedule.id], now)


@transaction.atomic
def delete_medication(*, medication: Medication, now: datetime) -> None:
    """Soft: the history of its doses survives; its schedules and future doses end. Raises TooManyEdits and Http404."""
    count_edits(lock_user(medication.user_id))
    _delete(_schedules_of(medication), now)
    Medication.objects.filter(id=medication.id).update(deleted_at=now, is_active=False, updated_at=now)


def pause_medication(*, medication: Medication, now: datetime) -> Medication:
    """Nothing of it falls due until it is resumed. Raises TooManyEdits and Http404."""
    return _set_paused(medication, now, now)


def resume_medication(*, medication: Medication, now: datetime) -> Medication:
    """Its schedules go on from now; what would have fallen due in the pause never did.

    Raises TooManyEdits and Http404.
    """
    return _set_paused(medication, None, now)


@transaction.atomic
def update_profile(*, user: User, changes: dict[str, Any], now: datetime) -> tuple[User, list[Move]]:
    """The person and which doses another time zone moves; those that were due stay as they were.

    Raises TooManyEdits and Http404.
    """
    user = lock_user(user.id)
    zone_before = user.timezone
    for name, value in changes.items():
        setattr(user, name, value)
    if user.timezone == zone_before:
        user.save(update_fields=[*changes, "updated_at"])
        return user, []
    count_zone_change(user)
    mine = Schedule.objects.filter(medication__user=user, deleted_at=None)
    with replanning(mine.values_list("id", flat=True), now=now) as moves:
        user.save(update_fields=[*changes, "updated_at"])
    return user, moves


def _set_paused(medication: Medication, paused_at: datetime | None, now: datetime) -> Medication:
    with transaction.atomic():
        user = lock_user(medication.user_id)
        medication = get_object_or_404(Medication, id=medication.id, deleted_at=None)
        if (medication.paused_at is None) != (paused_at is None):
            count_edits(user)
            with replanning(_schedules_of(medication), now=now):
                medication.paused_at = paused_at
                medication.save(update_fields=["paused_at", "updated_at"])
    return medication


def _schedules_of(medication: Medication) -> list[UUID]:
    live = Schedule.objects.filter(medication=medication, deleted_at=None)
    return list(live.values_list("id", flat=True))


def _save_version(schedule: Schedule, changed: dict[str, Any]) -> None:
    if changed:
        schedule.version += 1
        schedule.save(update_fields=[*changed, "version", "updated_at"])


def _delete(schedule_ids: list[UUID], now: datetime) -> None:
    with replanning(schedule_ids, now=now):
        live = Schedule.objects.filter(id__in=schedule_ids, deleted_at=None)
        live.update(deleted_at=now, is_active=False, updated_at=now)
