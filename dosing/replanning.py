"""What a changed rule means for existing doses: those that were due stay, future ones follow the new rule.

Editing, pausing, resuming and ending a schedule and moving to another time zone all go through `replanning`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import F, Q

from dosing.cycles import Occurrence, occurrence_on, occurrences
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.planning import ANSWER_WINDOW, can_be_planned, plan_schedules, rule_of, window_end
from dosing.status import DoseStatus

# Doses due within this long count as past: they may fall due while we wait for locks.
LOCK_WAIT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Move:
    """The dose of a schedule on a local date is due at another instant (UTC) than before."""

    schedule_id: UUID
    medication_id: UUID
    log_date: date
    due_at_before: datetime
    due_at: datetime


@contextmanager
def replanning(schedule_ids: Iterable[UUID], *, now: datetime) -> Iterator[list[Move]]:
    """Re-plans schedules around a change of their rules, in the transaction that makes the change.

    The list is empty in the block; when the block ends, it is filled with the doses that move.
    """
    locked = Schedule.objects.filter(id__in=schedule_ids).order_by("id").select_for_update(no_key=True)
    ids = list(locked.values_list("id", flat=True))
    # The old rule holds up to `now`: after an outage there are dates that fell due by it and have no dose
    # yet.
    plan_schedules(schedule_ids=ids, now=now)
    moves: list[Move] = []
    yield moves
    moves += replan(ids, now=now)


def replan(schedule_ids: Collection[UUID], *, now: datetime) -> list[Move]:
    """Replaces the doses due after `now` by those of the schedules' present rules, and plans up to the
    horizon.

    Returns the doses that are due at another instant than before.
    """
    rows = Schedule.objects.filter(id__in=schedule_ids).select_related("medication__user")
    # A schedule with a damaged rule stays set aside: it must not block the owner's time-zone change.
    schedules = {
        schedule.id: schedule for schedule in rows if not schedule.is_wanted or can_be_planned(schedule)
    }
    moves = _remove_outdated(schedules, now)
    for schedule in schedules.values():
        # One that was set aside continues at the dose that could not be planned.
        since = min(now, schedule.next_due_at or now) if schedule.plan_error else now
        first = None
        if schedule.is_wanted:
            zone = schedule.medication.user.zone
            first = next(occurrences(rule_of(schedule), zone=zone, since=since), None)
        schedule.next_due_at = None if first is None else first.due_at
        schedule.plan_error = ""
    Schedule.objects.bulk_update(schedules.values(), ["next_due_at", "plan_error"])
    plan_schedules(schedule_ids=schedules, now=now)
    # Last, because the dose that ends a window may be one that was planned just now.
    _update_windows(schedules, now)
    return moves


class _OpenDose(NamedTuple):
    """A pending dose whose answer window has not ended."""

    id: UUID
    schedule_id: UUID
    medication_id: UUID
    log_date: date
    due_at: datetime
    quantity: Decimal


def _remove_outdated(schedules: Mapping[UUID, Schedule], now: datetime) -> list[Move]:
    """Deletes the doses that the rules no longer have, or have at another time; returns the latter."""
    is_open = Q(answer_by__gt=now) | Q(answer_by=None, due_at__gt=now - ANSWER_WINDOW)
    pending = DoseLog.objects.filter(is_open, schedule_id__in=schedules, status=DoseStatus.PENDING)
    rows = pending.order_by("id").select_for_update()
    doses = [_OpenDose(*row) for row in rows.values_list(*_OpenDose._fields)]
    # Read the events only after the doses are locked: one of them may just have been answered and undone.
    with_events = set(
        DoseEvent.objects.filter(dose__in=[dose.id for dose in doses]).values_list("dose_id", flat=True)
    )
    moves: list[Move] = []
    deleted: list[UUID] = []
    no_longer_awaited: list[UUID] = []
    awaited: list[UUID] = []
    for dose in doses:
        schedule = schedules[dose.schedule_id]
        planned = None  # also for an inactive user, who has no doses
        if schedule.is_wanted and schedule.medication.user.is_active:
            planned = occurrence_on(rule_of(schedule), dose.log_date, zone=schedule.medication.user.zone)
        is_history = dose.due_at <= now + LOCK_WAIT or dose.id in with_events
        if planned is None:
            (no_longer_awaited if is_history else deleted).append(dose.id)
        elif is_history or _stays(dose, planned, now):
            awaited.append(dose.id)
        else:
            deleted.append(dose.id)
            if planned.due_at != dose.due_at:
                moves.append(
                    Move(dose.schedule_id, dose.medication_id, dose.log_date, dose.due_at, planned.due_at)
                )
    DoseLog.objects.filter(id__in=deleted).delete()
    # What was due, or has events, is history and is not deleted: it only stops counting.
    DoseLog.objects.filter(id__in=no_longer_awaited).update(answer_by=None)
    # After a resume the doses that were due before are awaited again.
    resumed = DoseLog.objects.filter(id__in=awaited, answer_by=None)
    resumed.update(answer_by=F("due_at") + ANSWER_WINDOW)
    return moves


def _stays(dose: _OpenDose, planned: Occurrence, now: datetime) -> bool:
    """Whether a future dose stays as it is, because nothing changed for it or its new time has passed
    already.

    The latter happens when 20:00 becomes 08:00 at noon, or the user flies east: if that dose were deleted,
    its date would have none.
    """
    return planned.due_at < now or (planned.due_at, planned.quantity) == (dose.due_at, dose.quantity)


def _update_windows(schedules: Mapping[UUID, Schedule], now: datetime) -> None:
    """Ends the answer windows of doses that stayed where the schedule's next dose, maybe a new one, is due."""
    next_due = dict(Schedule.objects.filter(id__in=schedules).values_list("id", "next_due_at"))
    # Older doses are left out: their windows have ended.
    recent = DoseLog.objects.filter(schedule_id__in=schedules, due_at__gt=now - ANSWER_WINDOW)
    rows: Any = recent.order_by("schedule_id", "due_at").values_list(
        "schedule_id", "id", "due_at", "answer_by", "status"
    )
    changed = []
    for schedule_id, group in groupby(rows, itemgetter(0)):
        doses = list(group)
        followers = [row[2] for row in doses[1:]] + [next_due[schedule_id]]
        for (_, dose_id, due_at, answer_by, status), follower in zip(doses, followers, strict=True):
            end = window_end(due_at, follower)
            if status == DoseStatus.PENDING and answer_by not in (None, end):
                changed.append(DoseLog(id=dose_id, answer_by=end))
    DoseLog.objects.bulk_update(changed, ["answer_by"])
