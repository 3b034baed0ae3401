"""Explains why a schedule has a dose on a date or has none, also where no row was ever written.

The reasons are read from the events of the medication and the schedule, and from the cycle arithmetic with the
rules of before an edit.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from django.db.models import Q
from django.shortcuts import get_object_or_404
from django.utils.dates import WEEKDAYS

from dosing.cycles import Occurrence
from dosing.dose_ids import dose_id
from dosing.models import DoseLog, Schedule
from dosing.past_rules import occurrence_of, schedule_at, schedule_before
from dosing.travel import travel_from_json
from medications.models import MedicationEvent
from notifications.explanations import PresenceCode, explain, who_and_when
from notifications.trace import Trace, trace
from notifications.trace_history import history_of
from users.models import User

Action = MedicationEvent.Action


@dataclass(frozen=True)
class Plan:
    """A schedule, with its medication and user, and the changes of both, newest first, as of `now`."""

    schedule: Schedule
    changes: Sequence[MedicationEvent]
    log_date: date
    ordinal: int
    now: datetime

    def changes_by(self, at: datetime, *actions: Action) -> Iterator[MedicationEvent]:
        """Those changes of these kinds that were made by the instant `at`, newest first."""
        return (event for event in self.changes if event.recorded_at <= at and event.action in actions)


@dataclass(frozen=True)
class Finding:
    """Why there is a dose or none: `changed_at` and `changed_by` are of the change that decided it."""

    code: PresenceCode
    due_at: datetime | None = None
    changed_at: datetime | None = None
    changed_by: User | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Presence:
    """The answer about one schedule, date and ordinal; `trace` is of the dose, if it is written."""

    plan: Plan
    finding: Finding
    dose_id: UUID
    trace: Trace | None = None

    @property
    def code(self) -> PresenceCode:
        return self.finding.code

    @property
    def user(self) -> User:
        return self.plan.schedule.medication.user

    @property
    def detail(self) -> str:
        finding, log_date = self.finding, self.plan.log_date
        details = {"day": f"{WEEKDAYS[log_date.weekday()]} {log_date}", **finding.details}
        if finding.due_at is not None:
            details["time"] = self._wall_clock(finding.due_at)
        if finding.changed_at is not None:
            name = str(finding.changed_by) if finding.changed_by else ""
            details["who"] = who_and_when(name, self._wall_clock(finding.changed_at))
        return explain(finding.code, "", details)

    def _wall_clock(self, at: datetime) -> str:
        return f"{at.astimezone(self.user.zone):%Y-%m-%d %H:%M}"


def presence_of(
    schedule_id: UUID, log_date: date, *, now: datetime, ordinal: int = 0, visible_to: User | None = None
) -> Presence:
    """Also of a schedule or medication that was deleted. `visible_to` is the only user who may ask for it.

    Raises Http404.
    """
    schedules = Schedule.objects.select_related("medication__user")
    if visible_to is not None:
        schedules = schedules.filter(medication__user=visible_to)
    schedule: Schedule = get_object_or_404(schedules, id=schedule_id)
    dose = DoseLog.objects.filter(schedule=schedule, log_date=log_date, ordinal=ordinal).first()
    about = Q(schedule_id=None) | Q(schedule_id=schedule.id)
    changes = MedicationEvent.objects.filter(about, medication=schedule.medication)
    newest_first = changes.select_related("recorded_by").order_by("-recorded_at", "-id")
    plan = Plan(schedule, list(newest_first), log_date, ordinal, now)
    if dose is not None:
        finding = Finding(PresenceCode.WRITTEN, dose.due_at)
        return Presence(plan, finding, dose.id, trace(history_of(dose.id, now=now)))
    return Presence(plan, find(plan), dose_id(schedule.id, log_date, ordinal))


def find(plan: Plan) -> Finding:
    """Why a dose that is not written is not there, or when it will be."""
    occurrence = occurrence_of(plan.schedule, plan.log_date, plan.ordinal)
    if occurrence is None:
        return _not_in_the_rule(plan)
    return _obstacle(plan, occurrence) or _late_rule(plan, occurrence) or _not_written_yet(plan, occurrence)


def _obstacle(plan: Plan, occurrence: Occurrence) -> Finding | None:
    """What kept a dose from falling due at its time, though the rule had it."""
    due_at, schedule, medication = occurrence.due_at, plan.schedule, plan.schedule.medication
    deleted = [at for at in (schedule.deleted_at, medication.deleted_at) if at is not None and at <= due_at]
    if deleted:
        changes = plan.changes_by(due_at, Action.SCHEDULE_DELETED, Action.DELETED)
        return _changed(PresenceCode.DELETED, changes, due_at, otherwise=min(deleted))
    if archived := _archived(plan, due_at):
        return archived
    if not schedule_at(schedule, due_at, events=plan.changes).is_active:
        edits = plan.changes_by(due_at, Action.SCHEDULE_CHANGED)
        stops = [event for event in edits if event.changes.get("is_active") == [True, False]]
        # One that was deleted before changes were recorded is not active either.
        if stops or schedule.deleted_at is None:
            return _changed(PresenceCode.STOPPED, stops, due_at, otherwise=schedule.updated_at)
    if pause := _pause(plan, due_at):
        return pause
    if not medication.user.is_active:
        return Finding(PresenceCode.ACCOUNT_INACTIVE, due_at)
    return None


def _archived(plan: Plan, due_at: datetime) -> Finding | None:
    medication = plan.schedule.medication
    kinds = (Action.ARCHIVED, Action.RESTORED)
    if any(event.action in kinds for event in plan.changes):
        latest = next(plan.changes_by(due_at, *kinds), None)
        is_archived = latest is not None and latest.action == Action.ARCHIVED
        return _changed(PresenceCode.ARCHIVED, [latest], due_at) if latest and is_archived else None
    # Archived before changes were recorded.
    if medication.is_active or medication.deleted_at is not None:
        return None
    return Finding(PresenceCode.ARCHIVED, due_at, medication.updated_at)


def _pause(plan: Plan, due_at: datetime) -> Finding | None:
    """The pause in which the dose would have been due."""
    medication = plan.schedule.medication
    latest = next(plan.changes_by(due_at, Action.PAUSED, Action.RESUMED), None)
    if latest is not None:
        until = latest.changes.get("paused_until", [None, None])[1]
        if latest.action == Action.RESUMED or (until and datetime.fromisoformat(until) <= due_at):
            return None
        return _changed(PresenceCode.PAUSED, [latest], due_at)
    # Paused before changes were recorded.
    if medication.paused_at is None or medication.paused_at > due_at:
        return None
    if medication.paused_until is not None and medication.paused_until <= due_at:
        return None
    return Finding(PresenceCode.PAUSED, due_at, medication.paused_at)


def _late_rule(plan: Plan, occurrence: Occurrence) -> Finding | None:
    """Whether the schedule was entered, or got this date, only after the dose's time."""
    due_at = occurrence.due_at
    created = next((event for event in plan.changes if event.action == Action.SCHEDULE_CREATED), None)
    created_at = created.recorded_at if created else plan.schedule.created_at
    if created_at > due_at:
        by = created.recorded_by if created else None
        return Finding(PresenceCode.CREATED_LATER, due_at, created_at, by)
    rule = plan.schedule
    for event in plan.changes:
        if event.recorded_at <= due_at:
            break
        before = schedule_before(rule, event)
        is_new = occurrence_of(before, plan.log_date, plan.ordinal) is None
        if is_new and event.action == Action.SCHEDULE_CHANGED:
            return _changed(PresenceCode.ADDED_LATER, [event], due_at)
        rule = before
    return None


def _not_written_yet(plan: Plan, occurrence: Occurrence) -> Finding:
    planned_until = plan.schedule.planned_until
    is_to_come = occurrence.due_at > plan.now or (
        planned_until is not None and occurrence.due_at >= planned_until
    )
    return Finding(PresenceCode.PLANNED if is_to_come else PresenceCode.UNEXPLAINED, occurrence.due_at)


def _not_in_the_rule(plan: Plan) -> Finding:
    return _absorbed(plan) or _edited(plan) or _never_in_the_rule(plan)


def _absorbed(plan: Plan) -> Finding | None:
    """A dose that travel left out, or an intake shortly before the schedule was entered."""
    rule = plan.schedule
    for event in plan.changes:
        before = schedule_before(rule, event)
        if event.action == Action.TRAVELLED and str(plan.log_date) in event.changes["absorbed"]:
            occurrence = occurrence_of(before, plan.log_date)
            return _changed(
                PresenceCode.ABSORBED_BY_TRAVEL, [event], occurrence.due_at if occurrence else None
            )
        rule = before
    travel = travel_from_json(plan.schedule.travel)
    if travel is None:
        return None
    without = copy(plan.schedule)
    without.travel = None
    occurrence = occurrence_of(without, plan.log_date)
    if occurrence is None or not travel.last_due_at <= occurrence.due_at < travel.not_before:
        return None
    # An intake of the schedule that this one replaces is older than this one.
    is_older = travel.last_due_at < plan.schedule.created_at
    code = PresenceCode.TAKEN_BEFORE if is_older else PresenceCode.ABSORBED_BY_TRAVEL
    return Finding(code, occurrence.due_at)


def _edited(plan: Plan) -> Finding | None:
    """The last edit that took the date out of the rule while its dose was still to come."""
    rule = plan.schedule
    for event in plan.changes:
        before = schedule_before(rule, event)
        occurrence = occurrence_of(before, plan.log_date, plan.ordinal)
        if occurrence is not None and event.action == Action.SCHEDULE_CHANGED:
            if occurrence.due_at <= event.recorded_at and (obstacle := _obstacle(plan, occurrence)):
                return obstacle
            return _changed(PresenceCode.EDITED, [event], occurrence.due_at)
        rule = before
    return None


def _never_in_the_rule(plan: Plan) -> Finding:
    schedule = plan.schedule
    if schedule.cycle_type == Schedule.CycleType.AS_NEEDED:
        return Finding(PresenceCode.AS_NEEDED)
    if plan.log_date < schedule.start_date:
        return Finding(PresenceCode.BEFORE_START, details={"date": str(schedule.start_date)})
    if schedule.end_date is not None and plan.log_date > schedule.end_date:
        return Finding(PresenceCode.AFTER_END, details={"date": str(schedule.end_date)})
    return Finding(PresenceCode.NOT_ITS_DAY)


def _changed(
    code: PresenceCode,
    changes: Iterable[MedicationEvent],
    due_at: datetime | None,
    *,
    otherwise: datetime | None = None,
) -> Finding:
    """With who made the first of the changes and when; `otherwise` is when, if none was recorded."""
    for event in changes:
        return Finding(code, due_at, event.recorded_at, event.recorded_by)
    return Finding(code, due_at, otherwise)
