"""Writes that change when doses fall due: to schedules, and deleting, pausing and resuming a medication.

Future doses are re-planned in the same transaction. All writes about one user lock the user's row first; the
planner does not, and locks schedules.
"""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.shortcuts import get_object_or_404

from dosing.models import Schedule
from dosing.planning import can_be_planned, rule_of
from dosing.replanning import replan, replanning, withdraw_outside_span
from dosing.schedule_rules import check
from dosing.travel import Clock, after_edit, travel_from_json, travel_to_json
from dosing.zone_changes import clock_of, histories, record, travel
from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.database.results import ActionResult
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.person_limits import refuse_more
from users.actions import lock_user
from users.idempotency import repeated
from users.models import IdempotencyKey, User
from users.rates import count_edits

# Changing one of these re-plans the schedule's doses.
PLANNED_FIELDS = {
    "scheduled_time",
    "cycle_type",
    "cycle_value",
    "quantity",
    "start_date",
    "end_date",
    "is_active",
    "timezone",
}
# Changing one of these begins the cycle anew.
COURSE_FIELDS = {"cycle_type", "cycle_value", "start_date"}


@transaction.atomic
def create_schedule(
    *, medication_id: UUID, by: User, now: datetime, id: UUID | None = None, **fields: Any
) -> ActionResult[Schedule]:
    """Creates a schedule and plans its doses. It starts on the user's local date of `now` by default.

    Raises Http404, ValidationError, IdConflict, LimitReached and TooManyEdits.
    """
    user = lock_user(by.id)
    medication = get_object_or_404(Medication.objects.visible_to(user), id=medication_id)
    visible = Schedule.objects.visible_to(user)
    sent = {"medication_id": medication.id, **fields}
    if known := repeated(visible, scope=IdempotencyKey.Scope.SCHEDULE, id=id, by=user, body=sent):
        return ActionResult(known, changed=False)
    zone = ZoneInfo(fields.get("timezone") or user.timezone)
    schedule = Schedule(**{"id": id or uuid7(), "start_date": now.astimezone(zone).date(), **sent})
    check(schedule)
    # After the check for a repeat, which must work at the limit and is no edit.
    refuse_more("schedules", visible)
    count_edits(user)
    with id_conflicts():
        schedule.save(force_insert=True)
    replan([schedule.id], now=now)
    schedule.refresh_from_db()
    return ActionResult(schedule, changed=True)


@transaction.atomic
def update_schedule(
    *, schedule_id: UUID, by: User, changes: dict[str, Any], now: datetime
) -> ActionResult[Schedule]:
    """Changes a schedule. If its rule changes, future doses are re-planned; doses that were due stay.

    Raises Http404, ValidationError and TooManyEdits.
    """
    user = lock_user(by.id)
    visible = Schedule.objects.visible_to(user).select_related("medication__user")
    schedule: Schedule = get_object_or_404(visible, id=schedule_id)
    count_edits(user)
    clock_before = clock_of(schedule) if can_be_planned(schedule) else None
    changed = {name: value for name, value in changes.items() if getattr(schedule, name) != value}
    span_before = schedule.span
    for name, value in changed.items():
        setattr(schedule, name, value)
    check(schedule)
    # Other fields, such as the relation to meals, change no dose: the planner is not made to wait.
    if PLANNED_FIELDS.isdisjoint(changed):
        _save_version(schedule, changed)
    else:
        with replanning([schedule.id], now=now):
            _let_travel(schedule, clock_before, changed, by=user, now=now)
            _save_version(schedule, changed | {"rule_changed_at": now, "travel": schedule.travel})
        if schedule.span != span_before:
            withdraw_outside_span(schedule, before=span_before, now=now)
    schedule.refresh_from_db()
    return ActionResult(schedule, changed=bool(changed))


@transaction.atomic
def delete_schedule(*, schedule_id: UUID, by: User, now: datetime) -> None:
    """Soft-deletes a schedule: its past doses stay, its future ones are deleted.

    Raises Http404 and TooManyEdits.
    """
    user = lock_user(by.id)
    get_object_or_404(Schedule.objects.visible_to(user), id=schedule_id)
    count_edits(user)
    _delete([schedule_id], now)


@transaction.atomic
def delete_medication(*, medication_id: UUID, by: User, now: datetime) -> None:
    """Soft-deletes a medication with its schedules: past doses stay, future ones are deleted.

    Raises Http404 and TooManyEdits.
    """
    user = lock_user(by.id)
    medication = get_object_or_404(Medication.objects.visible_to(user), id=medication_id)
    count_edits(user)
    _delete(_schedules_of(medication), now)
    Medication.objects.filter(id=medication.id).update(deleted_at=now, is_active=False, updated_at=now)


@transaction.atomic
def pause_medication(*, medication_id: UUID, by: User, now: datetime) -> ActionResult[Medication]:
    """No dose of the medication falls due until it is resumed. Raises Http404 and TooManyEdits."""
    return _set_paused(medication_id, by, paused_at=now, now=now)


@transaction.atomic
def resume_medication(*, medication_id: UUID, by: User, now: datetime) -> ActionResult[Medication]:
    """Doses fall due again from `now` on; those of the pause are not planned later.

    Raises Http404 and TooManyEdits.
    """
    return _set_paused(medication_id, by, paused_at=None, now=now)


def _let_travel(
    schedule: Schedule, before: Clock | None, changed: dict[str, Any], *, by: User, now: datetime
) -> None:
    """A schedule's own zone is changed like the user's; another edit keeps what is left of a travel before."""
    is_same_course = COURSE_FIELDS.isdisjoint(changed)
    left = after_edit(
        travel_from_json(schedule.travel), rule_of(schedule), is_same_course=is_same_course, now=now
    )
    schedule.travel = travel_to_json(left)
    # The zone of the user may be one that the tz database has dropped.
    if before is None or not can_be_planned(schedule):
        return
    after = clock_of(schedule)
    if before.zone == after.zone:
        return
    history = histories([schedule.id], user=by, now=now)[schedule.id]
    travelled = travel(schedule, before, after, history=history, now=now)
    record([travelled], zones=(before.zone.key, after.zone.key), by=by)


def _save_version(schedule: Schedule, changed: dict[str, Any]) -> None:
    if changed:
        schedule.rule_changed_at = changed.get("rule_changed_at", schedule.rule_changed_at)
        schedule.version += 1
        schedule.save(update_fields=[*changed, "version", "updated_at"])


def _set_paused(
    medication_id: UUID, by: User, *, paused_at: datetime | None, now: datetime
) -> ActionResult[Medication]:
    user = lock_user(by.id)
    medication = get_object_or_404(Medication.objects.visible_to(user), id=medication_id)
    # Pausing again would move the beginning of the pause.
    if (medication.paused_at is None) == (paused_at is None):
        return ActionResult(medication, changed=False)
    count_edits(user)
    with replanning(_schedules_of(medication), now=now):
        medication.paused_at = paused_at
        medication.save(update_fields=["paused_at", "updated_at"])
    return ActionResult(medication, changed=True)


def _schedules_of(medication: Medication) -> list[UUID]:
    living = Schedule.objects.filter(medication=medication, deleted_at=None)
    return list(living.values_list("id", flat=True))


def _delete(schedule_ids: list[UUID], now: datetime) -> None:
    with replanning(schedule_ids, now=now):
        living = Schedule.objects.filter(id__in=schedule_ids, deleted_at=None)
        living.update(deleted_at=now, is_active=False, updated_at=now)
