"""Writes that change when doses fall due: to schedules, and deleting, pausing and resuming a medication.

Future doses are re-planned in the same transaction. All writes about one user lock the user's row first; the
planner does not, and locks schedules.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _

from dosing.actions.medications import living_schedules
from dosing.models import Schedule
from dosing.planning import can_be_planned, rule_of
from dosing.replacements import after_last_intake
from dosing.replanning import replan, replanning, withdraw_outside_span
from dosing.schedule_rules import check
from dosing.serializers import ScheduleInput, ScheduleOutput
from dosing.travel import Clock, after_edit, travel_from_json, travel_to_json
from dosing.upcoming import next_due
from dosing.zone_changes import clock_of, histories, record, travel
from medications.actions import changes_between, record_event, record_events, save_version
from medications.models import Medication, MedicationEvent
from medications.serializers import MedicationOutput
from medtrack.database.ids import uuid7
from medtrack.database.results import ActionResult
from medtrack.database.unique_ids import id_conflicts
from medtrack.http.person_limits import refuse_more
from medtrack.http.preconditions import check_version
from medtrack.http.problems import field_error
from medtrack.http.responses import serialized
from users.actions import lock_user
from users.idempotency import repeated
from users.models import IdempotencyKey, User
from users.rates import count_edits

Action = MedicationEvent.Action

# After a pause that was no longer than this, doses that fell due in it are planned all the same: a `due`
# reminder is of use for as long. A pause and resume by mistake loses no dose.
SHORT_PAUSE = timedelta(minutes=30)

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

    If it replaces a deleted one, a dose that was taken of that is not planned again. Raises Http404,
    ValidationError, IdConflict, LimitReached and TooManyEdits.
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
    schedule.travel = travel_to_json(after_last_intake(schedule, now=now))
    with id_conflicts():
        schedule.save(force_insert=True)
    replan([schedule.id], now=now)
    schedule.refresh_from_db()
    changes = changes_between({}, serialized(ScheduleInput, schedule))
    record_event(
        medication, Action.SCHEDULE_CREATED, by=user, now=now, changes=changes, schedule_id=schedule.id
    )
    return ActionResult(schedule, changed=True)


@transaction.atomic
def update_schedule(
    *,
    schedule_id: UUID,
    by: User,
    changes: dict[str, Any],
    now: datetime,
    allowed_versions: frozenset[int] | None = None,
) -> ActionResult[Schedule]:
    """Changes a schedule. If its rule changes, future doses are re-planned; doses that were due stay.

    Raises Http404, Changed, ValidationError and TooManyEdits.
    """
    user = lock_user(by.id)
    schedule = _visible_schedule(user, schedule_id)
    _check_version(schedule, allowed_versions, by=user, now=now)
    count_edits(user)
    before = serialized(ScheduleInput, schedule)
    clock_before = clock_of(schedule) if can_be_planned(schedule) else None
    changed = {name: value for name, value in changes.items() if getattr(schedule, name) != value}
    span_before = schedule.span
    for name, value in changed.items():
        setattr(schedule, name, value)
    if not changed:
        return ActionResult(schedule, changed=False)
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
    record_event(
        schedule.medication,
        Action.SCHEDULE_CHANGED,
        by=user,
        now=now,
        changes=changes_between(before, serialized(ScheduleInput, schedule)),
        schedule_id=schedule.id,
    )
    return ActionResult(schedule, changed=True)


@transaction.atomic
def delete_schedule(
    *, schedule_id: UUID, by: User, now: datetime, allowed_versions: frozenset[int] | None = None
) -> None:
    """Soft-deletes a schedule: its past doses stay, its future ones are deleted.

    Raises Http404, Changed and TooManyEdits.
    """
    user = lock_user(by.id)
    schedule = _visible_schedule(user, schedule_id)
    _check_version(schedule, allowed_versions, by=user, now=now)
    count_edits(user)
    _delete([schedule], schedule.medication, by=user, now=now)


@transaction.atomic
def delete_medication(
    *, medication_id: UUID, by: User, now: datetime, allowed_versions: frozenset[int] | None = None
) -> None:
    """Soft-deletes a medication with its schedules: past doses stay, future ones are deleted.

    Raises Http404, Changed and TooManyEdits.
    """
    user = lock_user(by.id)
    medication = get_object_or_404(Medication.objects.visible_to(user), id=medication_id)
    check_version(medication, allowed_versions, output=MedicationOutput)
    count_edits(user)
    living = Schedule.objects.filter(medication=medication, deleted_at=None)
    _delete(living.order_by("id"), medication, by=user, now=now)
    fields = {"deleted_at": now, "is_active": False}
    save_version(medication, Action.DELETED, fields=fields, by=user, now=now)


@transaction.atomic
def pause_medication(
    *, medication_id: UUID, by: User, now: datetime, until: datetime | None = None
) -> ActionResult[Medication]:
    """No dose of the medication falls due until it is resumed, or before the instant `until`.

    Of a medication that is paused it changes the end of the pause. Raises Http404, ValidationError and
    TooManyEdits.
    """
    user = lock_user(by.id)
    medication = get_object_or_404(Medication.objects.visible_to(user), id=medication_id)
    if until is not None and until <= now:
        raise field_error("until", _("The end of a pause must be later than now."), code="not_future")
    _end_pause_that_is_over(medication, now=now)
    if medication.paused_at is not None and medication.paused_until == until:
        return ActionResult(medication, changed=False)
    count_edits(user)
    # Pausing again does not move the beginning of the pause.
    fields = {"paused_at": medication.paused_at or now, "paused_until": until}
    with replanning(living_schedules(medication), now=now):
        save_version(medication, Action.PAUSED, fields=fields, by=user, now=now)
    return ActionResult(medication, changed=True)


@transaction.atomic
def resume_medication(*, medication_id: UUID, by: User, now: datetime) -> ActionResult[Medication]:
    """Doses fall due again from `now` on. Those of the pause are planned only if it was a short one.

    Raises Http404 and TooManyEdits.
    """
    user = lock_user(by.id)
    medication = get_object_or_404(Medication.objects.visible_to(user), id=medication_id)
    _end_pause_that_is_over(medication, now=now)
    if medication.paused_at is None:
        return ActionResult(medication, changed=False)
    count_edits(user)
    _end_pause(medication, end=now, by=user, now=now)
    return ActionResult(medication, changed=True)


@transaction.atomic
def end_pause_that_is_over(*, medication_id: UUID, now: datetime) -> bool:
    """Ends a pause whose end has come. Returns False if there is none, or another transaction writes."""
    over = Medication.objects.with_pauses_over(now)
    medication = over.filter(id=medication_id).first()
    if medication is None:
        return False
    # Passes over a user about whom another transaction writes, so that the others do not wait.
    living = User.objects.filter(id=medication.user_id, deleted_at=None)
    if living.select_for_update(no_key=True, skip_locked=True).first() is None:
        return False
    # Read again after the lock: it may have been resumed or paused for longer meanwhile.
    medication = over.filter(id=medication_id).first()
    if medication is None:
        return False
    _end_pause_that_is_over(medication, now=now)
    return True


def _visible_schedule(user: User, schedule_id: UUID) -> Schedule:
    visible = Schedule.objects.visible_to(user).select_related("medication")
    schedule: Schedule = get_object_or_404(visible, id=schedule_id)
    return schedule


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


def _check_version(schedule: Schedule, allowed: frozenset[int] | None, *, by: User, now: datetime) -> None:
    check_version(
        schedule,
        allowed,
        output=ScheduleOutput,
        more=lambda: {"next_due_at": next_due(by, [schedule], now=now)[schedule.id]},
    )


def _save_version(schedule: Schedule, changed: dict[str, Any]) -> None:
    schedule.rule_changed_at = changed.get("rule_changed_at", schedule.rule_changed_at)
    schedule.version += 1
    schedule.save(update_fields=[*changed, "version", "updated_at"])


def _end_pause_that_is_over(medication: Medication, *, now: datetime) -> None:
    """Does what the task that ends pauses would do within a minute."""
    if medication.paused_until is not None and not medication.is_paused(now):
        _end_pause(medication, end=medication.paused_until, by=None, now=now)


def _end_pause(medication: Medication, *, end: datetime, by: User | None, now: datetime) -> None:
    assert medication.paused_at is not None  # noqa: S101 - the callers have checked it
    since = medication.paused_at if end - medication.paused_at <= SHORT_PAUSE else None
    with replanning(living_schedules(medication), now=now, since=since):
        fields = {"paused_at": None, "paused_until": None}
        save_version(medication, Action.RESUMED, fields=fields, by=by, now=now)


def _delete(schedules: Iterable[Schedule], medication: Medication, *, by: User, now: datetime) -> None:
    """Deletes schedules of this medication."""
    changes = {
        schedule.id: changes_between(serialized(ScheduleInput, schedule), {}) for schedule in schedules
    }
    with replanning(changes, now=now):
        Schedule.objects.filter(id__in=changes).update(
            deleted_at=now, is_active=False, version=F("version") + 1, updated_at=now
        )
    record_events(medication, Action.SCHEDULE_DELETED, by=by, now=now, changes=changes)
