"""The engine's first step: schedules become dose rows up to a horizon, one for each occurrence of a schedule.

A batch is one short transaction: lock schedules that are due, compute, insert doses, move `planned_until` on.
Any number of planners may run at once and may be killed at any point: the unique key on (log date, schedule,
ordinal) makes a repeat harmless. All instants are UTC, and `now` is the database's.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from django.db import DataError, IntegrityError, connection, transaction

from dosing.cycle_values import parse_cycle
from dosing.cycles import Cycle, Occurrence, Rule, Travel, occurrences
from dosing.dose_ids import dose_id_text
from dosing.models import Schedule
from dosing.status import DoseStatus
from dosing.travel import travel_from_json
from medtrack.database.statements import Statement

# How far ahead of `now` doses are planned, and how long an answer to one is awaited.
HORIZON = timedelta(hours=36)
ANSWER_WINDOW = timedelta(hours=4)
# Schedules in a transaction, and in one of its INSERT statements.
BATCH = 5000
SLICE = 500

# What a rule that cannot be computed raises, each time again: InvalidCycle is a ValueError, an unknown zone
# raises LookupError, and the name of a directory of zones IsADirectoryError. Any other error, like a tzdata
# file that cannot be read at the moment, fails the batch, and the next run tries it again.
RULE_ERRORS = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, IsADirectoryError)

# Without these settings PostgreSQL would read whole tables in parallel for some thousand rows, batch after
# batch. Foreign keys are checked with each statement, during which we compute, and not all at the commit.
BY_KEY = """
    SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0; SET CONSTRAINTS ALL IMMEDIATE
"""

_SQL = Path(__file__).parent / "sql"
_LOCK_DUE = Statement.of(_SQL / "plan_lock_due.sql")
_LOCK_THESE = Statement.of(_SQL / "plan_lock_these.sql")
_READ_LOCKED = Statement.of(_SQL / "plan_read_locked.sql")
_INSERT_DOSES = Statement.of(_SQL / "plan_insert_doses.sql")
_MOVE_ON = Statement.of(_SQL / "plan_move_on.sql")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Planned:
    """What one batch did, in rows."""

    schedules: int = 0
    doses: int = 0
    set_aside: int = 0

    def __add__(self, other: "Planned") -> "Planned":
        return Planned(
            self.schedules + other.schedules, self.doses + other.doses, self.set_aside + other.set_aside
        )


class _Claimed(NamedTuple):
    """A row of plan_read_locked.sql.

    For speed ids stay text, and the instant comes without its zone (UTC).
    """

    schedule_id: str
    medication_id: str
    user_id: str
    timezone: str
    scheduled_time: time
    cycle_type: str
    cycle_json: str | None
    quantity: Decimal
    start_date: date
    end_date: date | None
    travel_json: str | None
    planned_until_utc: datetime
    is_wanted: bool
    is_user_active: bool


@transaction.atomic
def plan_due(*, now: datetime, limit: int = BATCH) -> Planned:
    """Plans one batch of schedules whose next dose is due within `HORIZON` of `now`. Empty when none are
    left.

    Doses whose answer window has ended by `now` are inserted as missed. In a transaction of the caller the
    settings of `BY_KEY` last until its end.
    """
    with connection.cursor() as cursor:
        cursor.execute(BY_KEY)
    return _plan_in_halves(_lock(_LOCK_DUE, until=now + HORIZON, limit=limit), now)


@transaction.atomic
def plan_schedules(*, schedule_ids: Iterable[UUID], now: datetime) -> Planned:
    """Plans these schedules up to `HORIZON` after `now`.

    Waits for another planner that has locked one of them.
    """
    return _plan(_lock(_LOCK_THESE, until=now + HORIZON, ids=list(schedule_ids)), now)


def rule_of(schedule: Schedule) -> Rule:
    """The rule of a schedule row. Raises InvalidCycle."""
    cycle = parse_cycle(schedule.cycle_type, schedule.cycle_value)
    return _rule(schedule, cycle, travel_from_json(schedule.travel))


def zone_of(schedule: Schedule) -> ZoneInfo:
    """The time zone of the schedule's clock: its own, or the user's."""
    return ZoneInfo(schedule.timezone) if schedule.timezone else schedule.medication.user.zone


def can_be_planned(schedule: Schedule) -> bool:
    """False for a damaged cycle, and for a time zone that the tz database has dropped."""
    try:
        rule_of(schedule)
        return bool(zone_of(schedule))
    except RULE_ERRORS:
        return False


def window_end(due_at: datetime, next_due_at: datetime | None) -> datetime:
    """The end of a dose's answer window: after `ANSWER_WINDOW`, or when the schedule's next dose is due."""
    end = due_at + ANSWER_WINDOW
    # On a date that a time zone skips, two doses of a schedule are due at the same instant.
    if next_due_at is None or next_due_at <= due_at:
        return end
    return min(end, next_due_at)


def _lock(statement: Statement, **parameters: Any) -> list[str]:
    return [schedule_id for (schedule_id,) in statement.rows(**parameters)]


def _plan_in_halves(ids: Sequence[str], now: datetime) -> Planned:
    """Halves a batch that the database refuses until the schedule that causes it is alone, and sets that
    aside.
    """
    try:
        with transaction.atomic():
            return _plan(ids, now)
    except (IntegrityError, DataError) as error:
        if len(ids) == 1:
            _set_aside(ids[0], error)
            return Planned(schedules=1, set_aside=1)
    middle = len(ids) // 2
    return _plan_in_halves(ids[:middle], now) + _plan_in_halves(ids[middle:], now)


def _plan(ids: Sequence[str], now: datetime) -> Planned:
    doses = 0
    failed: dict[str, Exception] = {}
    with connection.cursor() as reader, connection.cursor() as writer:
        reader.execute(_READ_LOCKED.sql, {"ids": _array(ids)})
        # In pipeline mode PostgreSQL writes one slice while we compute the next.
        with connection.wrap_database_errors, connection.connection.pipeline():
            while rows := reader.fetchmany(SLICE):
                doses += _plan_slice(writer, map(_Claimed._make, rows), failed, now)
    for schedule_id, error in failed.items():
        _set_aside(schedule_id, error)
    return Planned(schedules=len(ids), doses=doses, set_aside=len(failed))


def _plan_slice(writer: Any, claimed: Iterable[_Claimed], failed: dict[str, Exception], now: datetime) -> int:
    doses: list[tuple[Any, ...]] = []
    moves: list[tuple[str, datetime | str]] = []
    until = now + HORIZON
    for schedule in claimed:
        try:
            planned, planned_until = _occurrences_until(schedule, until)
        except RULE_ERRORS as error:
            # One schedule that cannot be computed must not stop the others.
            failed[schedule.schedule_id] = error
            continue
        doses.extend(_dose_rows(schedule, planned, planned_until, now))
        # NULL: no dose comes after these, and the planner does not read the schedule again.
        moves.append((schedule.schedule_id, planned_until or "NULL"))
    if doses:
        writer.execute(_INSERT_DOSES.sql, [_array(column) for column in zip(*doses, strict=True)])
    if moves:
        writer.execute(_MOVE_ON.sql, [_array(column) for column in zip(*moves, strict=True)])
    return len(doses)


def _occurrences_until(schedule: _Claimed, until: datetime) -> tuple[list[Occurrence], datetime | None]:
    """The occurrences due before the instant `until`, and when the first one after them is due."""
    if not schedule.is_wanted:
        return [], None
    planned: list[Occurrence] = []
    following: datetime | None = None
    cycle = _cycle(schedule.cycle_type, schedule.cycle_json)
    travel = None if schedule.travel_json is None else travel_from_json(json.loads(schedule.travel_json))
    rule = _rule(schedule, cycle, travel)
    since = schedule.planned_until_utc.replace(tzinfo=UTC)
    for occurrence in occurrences(rule, zone=_zone(schedule.timezone), since=since):
        if occurrence.due_at >= until:
            following = occurrence.due_at
            break
        planned.append(occurrence)
    # The schedule of an inactive user moves on without doses, so that it is up to date when the user is
    # active again.
    return planned if schedule.is_user_active else [], following


def _dose_rows(
    schedule: _Claimed, planned: Sequence[Occurrence], planned_until: datetime | None, now: datetime
) -> Iterable[tuple[Any, ...]]:
    # A window ends when the next dose is due, which for the last one is not planned yet. Not strict, because
    # without an occurrence there still is that follower.
    followers = [occurrence.due_at for occurrence in planned[1:]] + [planned_until]
    for occurrence, follower in zip(planned, followers, strict=False):
        # After an outage the window may have ended before the dose is planned: it is missed from the start.
        answer_by = window_end(occurrence.due_at, follower)
        yield (
            dose_id_text(schedule.schedule_id, occurrence.log_date, occurrence.ordinal),
            schedule.user_id,
            schedule.medication_id,
            schedule.schedule_id,
            occurrence.log_date,
            occurrence.ordinal,
            schedule.scheduled_time,
            occurrence.due_at,
            answer_by,
            occurrence.quantity,
            DoseStatus.PENDING.value if answer_by > now else DoseStatus.MISSED.value,
        )


def _set_aside(schedule_id: str, error: Exception) -> None:
    """Stores why the schedule cannot be planned; it is not tried again until it is changed or re-planned."""
    log.error("schedule set aside", schedule_id=schedule_id, exc_info=error)
    reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    Schedule.objects.filter(id=schedule_id).update(plan_error=reason[:200])


def _rule(schedule: Schedule | _Claimed, cycle: Cycle, travel: Travel | None) -> Rule:
    return Rule(
        cycle=cycle,
        # An as-needed schedule without a time has no occurrences either.
        scheduled_time=schedule.scheduled_time or time(),
        start_date=schedule.start_date,
        end_date=schedule.end_date,
        quantity=schedule.quantity,
        travel=travel,
    )


# A batch has few different cycles and zones, but more than the eight zones that ZoneInfo keeps in memory.
@lru_cache(maxsize=4096)
def _cycle(cycle_type: str, cycle_json: str | None) -> Cycle:
    return parse_cycle(cycle_type, None if cycle_json is None else json.loads(cycle_json))


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _array(values: Iterable[Any]) -> str:
    """PostgreSQL's text of an array of ids, dates or numbers, which need no quotes. psycopg is slower: it
    adds them.
    """
    return "{" + ",".join(map(str, values)) + "}"
