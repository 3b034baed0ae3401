"""What a changed rule means for existing doses: those that were due stay, future ones follow the new rule.

Editing, pausing, resuming and ending a schedule and moving to another time zone all go through `replanning`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import F, Q
from django.db.models.functions import Greatest

from dosing.cycles import Occurrence, occurrence_on, occurrences
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.planning import ANSWER_WINDOW, can_be_planned, plan_schedules, rule_of, window_end, zone_of
from dosing.status import DoseStatus

# Doses due within this long count as past: they may fall due while we wait for locks.
LOCK_WAIT = timedelta(seconds=5)
# The columns of a dose that follow its schedule.
FOLLOWING = ["scheduled_time", "due_at", "quantity", "answer_by", "snoozed_until", "withdrawn_at"]


@dataclass(frozen=True, slots=True)
class Move:
    """The dose of a schedule on a local date is due at another instant (UTC) than before."""

    schedule_id: UUID
    medication_id: UUID
    log_date: date
    due_at_before: datetime
    due_at: datetime


@contextmanager
def replanning(
    schedule_ids: Iterable[UUID], *, now: datetime, since: datetime | None = None
) -> Iterator[list[Move]]:
    """Re-plans schedules around a change of their rules, in the transaction that makes the change.

    The list is empty in the block; when the block ends, it is filled with the doses that move. `since` is
    explained at `replan`.
    """
    ids = lock_schedules(schedule_ids)
    # The old rule holds up to `now`: after an outage there are dates that fell due by it and have no dose
    # yet.
    plan_schedules(schedule_ids=ids, now=now)
    moves: list[Move] = []
    yield moves
    moves += replan(ids, now=now, since=since)


def lock_schedules(schedule_ids: Iterable[UUID]) -> list[UUID]:
    """Locks the schedules until the end of the transaction and returns their ids.

    Every transaction locks schedules before doses.
    """
    locked = Schedule.objects.filter(id__in=schedule_ids).order_by("id").select_for_update(no_key=True)
    return list(locked.values_list("id", flat=True))


def replan(schedule_ids: Collection[UUID], *, now: datetime, since: datetime | None = None) -> list[Move]:
    """Makes the doses due after `now` follow the schedules' present rules, and plans up to the horizon.

    `since` is an earlier instant from which the present rules hold, at the end of a short pause. Returns the
    doses that are due at another instant than before.
    """
    rows = Schedule.objects.filter(id__in=schedule_ids).select_related("medication__user")
    # A schedule with a damaged rule stays set aside: it must not block the owner's time-zone change.
    schedules = {
        schedule.id: schedule for schedule in rows if not schedule.is_wanted or can_be_planned(schedule)
    }
    moves = _follow(schedules, now, since or now)
    for schedule in schedules.values():
        first = None
        if schedule.is_wanted:
            begin = max(since or now, schedule.medication.paused_until or since or now)
            if schedule.plan_error:
                # One that was set aside continues at the dose that could not be planned.
                begin = min(begin, schedule.planned_until or begin)
            first = next(occurrences(rule_of(schedule), zone=zone_of(schedule), since=begin), None)
        schedule.planned_until = None if first is None else first.due_at
        schedule.plan_error = ""
    Schedule.objects.bulk_update(schedules.values(), ["planned_until", "plan_error"])
    plan_schedules(schedule_ids=schedules, now=now)
    # Last, because the dose that ends a window may be one that was planned just now.
    _update_windows(schedules, now)
    return moves


def planned_on(
    schedule: Schedule, log_date: date, ordinal: int, *, was_due: bool | None = None
) -> Occurrence | None:
    """The dose that the schedule's present rule has on a date; None also while no doses are wanted.

    `was_due` says whether a dose that is written was due before the rule changed, or was still to come.
    """
    # An inactive user has no doses.
    if not schedule.is_wanted or not schedule.medication.user.is_active:
        return None
    rule, zone = rule_of(schedule), zone_of(schedule)
    occurrence = occurrence_on(rule, log_date, zone=zone, ordinal=ordinal)
    travel = rule.travel
    if occurrence is None and was_due:
        # Travel counts from the last dose that was due, and says nothing about those up to it.
        occurrence = occurrence_on(replace(rule, travel=None), log_date, zone=zone)
    elif occurrence and travel and was_due is False and travel.kept != occurrence:
        # Where the date's time is over in the new zone, travel absorbed the date.
        occurrence = None if occurrence.due_at < travel.not_before else occurrence
    paused_until = schedule.medication.paused_until
    if occurrence is not None and paused_until is not None and occurrence.due_at < paused_until:
        return None
    return occurrence


def withdraw_outside_span(schedule: Schedule, *, before: tuple[date, date | None], now: datetime) -> None:
    """Past and answered doses outside the schedule's span no longer count; those that its span `before` did not
    have do.
    """
    is_settled = Q(due_at__lte=now) | ~Q(status=DoseStatus.PENDING)
    doses = DoseLog.objects.filter(is_settled, schedule=schedule)
    outside = _outside((schedule.start_date, schedule.end_date))
    doses.filter(outside, withdrawn_at=None).update(withdrawn_at=now, answer_by=None, snoozed_until=None)
    back = doses.filter(_outside(before), withdrawn_at__isnull=False).exclude(outside)
    back.exclude(status=DoseStatus.PENDING).update(withdrawn_at=None)


class _OpenDose(NamedTuple):
    """A pending dose whose answer window has not ended, or that was withdrawn and would still be open."""

    id: UUID
    schedule_id: UUID
    medication_id: UUID
    log_date: date
    ordinal: int
    scheduled_time: time
    due_at: datetime
    quantity: Decimal
    snoozed_until: datetime | None
    reopened_until: datetime | None
    withdrawn_at: datetime | None


def _follow(schedules: Mapping[UUID, Schedule], now: datetime, since: datetime) -> list[Move]:
    """Lets open doses follow the rules: they move, are withdrawn, come back, or are deleted.

    Returns those that move. What is due by `now` stays where it is. What was due, or has events, is history:
    it is withdrawn rather than deleted.
    """
    would_be_open = Q(due_at__gt=now - ANSWER_WINDOW) | Q(reopened_until__gt=now)
    is_open = Q(answer_by__gt=now) | (Q(answer_by=None) & would_be_open)
    pending = DoseLog.objects.filter(is_open, schedule_id__in=schedules, status=DoseStatus.PENDING)
    rows = pending.order_by("id").select_for_update()
    doses = [_OpenDose(*row) for row in rows.values_list(*_OpenDose._fields)]
    # Read the events only after the doses are locked: one of them may just have been answered and undone.
    with_events = set(
        DoseEvent.objects.filter(dose__in=[dose.id for dose in doses]).values_list("dose_id", flat=True)
    )
    moves: list[Move] = []
    moved: list[DoseLog] = []
    deleted: list[UUID] = []
    withdrawn: list[UUID] = []
    restored: list[UUID] = []
    for dose in doses:
        schedule = schedules[dose.schedule_id]
        was_due = dose.due_at <= now + LOCK_WAIT
        planned = planned_on(schedule, dose.log_date, dose.ordinal, was_due=was_due)
        if planned is None:
            (withdrawn if was_due or dose.id in with_events else deleted).append(dose.id)
        elif was_due:
            # What was due before it was withdrawn comes back; what fell due meanwhile does not.
            if dose.withdrawn_at is None or dose.due_at >= since or dose.due_at <= dose.withdrawn_at:
                restored.append(dose.id)
        # If its new time has passed already (20:00 becomes 08:00 at noon), it stays: else its date would
        # have none.
        elif planned.due_at < now or _is_as_planned(dose, planned, schedule):
            restored.append(dose.id)
        else:
            moved.append(
                DoseLog(
                    id=dose.id,
                    scheduled_time=schedule.scheduled_time,
                    due_at=planned.due_at,
                    quantity=planned.quantity,
                    answer_by=max(planned.due_at + ANSWER_WINDOW, dose.reopened_until or planned.due_at),
                    # A snooze is of the time before.
                    snoozed_until=dose.snoozed_until if planned.due_at == dose.due_at else None,
                    withdrawn_at=None,
                )
            )
            if planned.due_at != dose.due_at:
                moves.append(
                    Move(dose.schedule_id, dose.medication_id, dose.log_date, dose.due_at, planned.due_at)
                )
    DoseLog.objects.filter(id__in=deleted).delete()
    still_there = DoseLog.objects.filter(id__in=withdrawn, withdrawn_at=None)
    # A pause may end before a snooze does.
    still_there.filter(medication__paused_at=None).update(snoozed_until=None)
    still_there.update(withdrawn_at=now, answer_by=None)
    DoseLog.objects.bulk_update(moved, FOLLOWING)
    DoseLog.objects.filter(id__in=restored, withdrawn_at__isnull=False).update(
        withdrawn_at=None, answer_by=Greatest(F("due_at") + ANSWER_WINDOW, F("reopened_until"))
    )
    return moves


def _is_as_planned(dose: _OpenDose, planned: Occurrence, schedule: Schedule) -> bool:
    return (planned.due_at, planned.quantity, schedule.scheduled_time) == (
        dose.due_at,
        dose.quantity,
        dose.scheduled_time,
    )


def _outside(span: tuple[date, date | None]) -> Q:
    start, end = span
    return Q(log_date__lt=start) if end is None else Q(log_date__lt=start) | Q(log_date__gt=end)


def _update_windows(schedules: Mapping[UUID, Schedule], now: datetime) -> None:
    """Ends the answer windows of doses that stayed where the schedule's next dose, maybe a new one, is due."""
    next_due = dict(Schedule.objects.filter(id__in=schedules).values_list("id", "planned_until"))
    # Older doses are left out: their windows have ended.
    recent = DoseLog.objects.filter(
        schedule_id__in=schedules, due_at__gt=now - ANSWER_WINDOW, withdrawn_at=None
    )
    rows: Any = recent.order_by("schedule_id", "due_at").values_list(
        "schedule_id", "id", "due_at", "answer_by", "status", "reopened_until"
    )
    changed = []
    for schedule_id, group in groupby(rows, itemgetter(0)):
        doses = list(group)
        followers = [row[2] for row in doses[1:]] + [next_due[schedule_id]]
        for (_, dose_id, due_at, answer_by, status, reopened_until), follower in zip(
            doses, followers, strict=True
        ):
            end = window_end(due_at, follower)
            # An answer that was taken back is awaited longer.
            end = max(end, reopened_until or end)
            if status == DoseStatus.PENDING and answer_by not in (None, end):
                changed.append(DoseLog(id=dose_id, answer_by=end))
    DoseLog.objects.bulk_update(changed, ["answer_by"])
