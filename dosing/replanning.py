"""What a changed rule means for doses that exist: what was due stays as it was, the future follows the new rule.

Editing, pausing, resuming, ending and moving to another zone are all this one thing.
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

# What falls due while we wait for locks is not to come any more.
PATIENCE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Move:
    """The dose of a schedule on a local date that is due at another instant than before (UTC)."""

    schedule_id: UUID
    medication_id: UUID
    log_date: date
    due_at_before: datetime
    due_at: datetime


@contextmanager
def replanning(schedule_ids: Iterable[UUID], *, now: datetime) -> Iterator[list[Move]]:
    """Around a change of these schedules' rules, in the transaction that changes them.

    The old rule holds up to `now`: after an outage there are dates that fell due by it and have no dose yet.
    The list is filled, when the block ends, with what moves.
    """
    locked = Schedule.objects.filter(id__in=schedule_ids).order_by("id").select_for_update(no_key=True)
    ids = list(locked.values_list("id", flat=True))
    plan_schedules(schedule_ids=ids, now=now)
    moves: list[Move] = []
    yield moves
    moves += replan(ids, now=now)


def replan(schedule_ids: Collection[UUID], *, now: datetime) -> list[Move]:
    """Makes the doses that are not due yet those of the rules as they stand, and plans up to the horizon."""
    found = Schedule.objects.filter(id__in=schedule_ids).select_related("medication__user")
    # A schedule that was damaged stays set aside, and must not stop its person from moving house.
    schedules = {
        schedule.id: schedule for schedule in found if not schedule.is_wanted or can_be_planned(schedule)
    }
    moves = _clear_away(schedules, now)
    for schedule in schedules.values():
        # One that had been set aside goes on where it stopped.
        since = min(now, schedule.next_due_at or now) if schedule.plan_error else now
        schedule.next_due_at, schedule.plan_error = _first_due(schedule, since), ""
    Schedule.objects.bulk_update(schedules.values(), ["next_due_at", "plan_error"])
    plan_schedules(schedule_ids=schedules, now=now)
    _fit_windows(schedules, now)
    return moves


class _OpenDose(NamedTuple):
    """A planned dose that nobody answered in a window that is not over."""

    id: UUID
    schedule_id: UUID
    medication_id: UUID
    log_date: date
    due_at: datetime
    quantity: Decimal


def _clear_away(schedules: Mapping[UUID, Schedule], now: datetime) -> list[Move]:
    """Deletes the doses that the rules no longer have, or have at another time, and returns the latter."""
    is_open = Q(answer_by__gt=now) | Q(answer_by=None, due_at__gt=now - ANSWER_WINDOW)
    pending = DoseLog.objects.filter(is_open, schedule_id__in=schedules, status=DoseStatus.PENDING)
    rows = pending.order_by("id").select_for_update()
    doses = [_OpenDose(*row) for row in rows.values_list(*_OpenDose._fields)]
    # Only now that they are locked: somebody may have been answering one of them.
    touched = set(
        DoseEvent.objects.filter(dose__in=[dose.id for dose in doses]).values_list("dose_id", flat=True)
    )
    moves: list[Move] = []
    gone: list[UUID] = []
    waits_no_more: list[UUID] = []
    waits_again: list[UUID] = []
    for dose in doses:
        planned = _planned_on(schedules[dose.schedule_id], dose.log_date)
        is_history = dose.due_at <= now + PATIENCE or dose.id in touched
        if planned is None:
            (waits_no_more if is_history else gone).append(dose.id)
        elif not is_history and not _stays(dose, planned, now):
            gone.append(dose.id)
            if planned.due_at != dose.due_at:
                moves.append(
                    Move(dose.schedule_id, dose.medication_id, dose.log_date, dose.due_at, planned.due_at)
                )
        else:
            waits_again.append(dose.id)
    DoseLog.objects.filter(id__in=gone).delete()
    DoseLog.objects.filter(id__in=waits_no_more).update(answer_by=None)
    again = DoseLog.objects.filter(id__in=waits_again, answer_by=None)
    again.update(answer_by=F("due_at") + ANSWER_WINDOW)
    return moves


def _stays(dose: _OpenDose, planned: Occurrence, now: datetime) -> bool:
    """Nothing changed for it; or its new time has passed already (20:00 became 08:00 at noon, the person flew
    east) and a dose that gave way would leave its date without one."""
    return planned.due_at < now or (planned.due_at, planned.quantity) == (dose.due_at, dose.quantity)


def _planned_on(schedule: Schedule, log_date: date) -> Occurrence | None:
    if not schedule.is_wanted or not schedule.medication.user.is_active:
        return None
    return occurrence_on(rule_of(schedule), log_date, zone=schedule.medication.user.zone)


def _first_due(schedule: Schedule, since: datetime) -> datetime | None:
    if not schedule.is_wanted:
        return None
    first = next(occurrences(rule_of(schedule), zone=schedule.medication.user.zone, since=since), None)
    return None if first is None else first.due_at


def _fit_windows(schedules: Mapping[UUID, Schedule], now: datetime) -> None:
    """A dose that stayed may have a new neighbour, closer than the one its window ended with."""
    next_due = dict(Schedule.objects.filter(id__in=schedules).values_list("id", "next_due_at"))
    recent = DoseLog.objects.filter(schedule_id__in=schedules, due_at__gt=now - ANSWER_WINDOW)
    rows: Any = recent.order_by("schedule_id", "due_at").values_list(
        "schedule_id", "id", "due_at", "answer_by", "status"
    )
    fitted = []
    for schedule_id, group in groupby(rows, itemgetter(0)):
        doses = list(group)
        followers = [row[2] for row in doses[1:]] + [next_due[schedule_id]]
        for (_, dose_id, due_at, answer_by, status), follower in zip(doses, followers, strict=True):
            end = window_end(due_at, follower)
            if status == DoseStatus.PENDING and answer_by not in (None, end):
                fitted.append(DoseLog(id=dose_id, answer_by=end))
    DoseLog.objects.bulk_update(fitted, ["answer_by"])
