"""The engine's first step: schedules become dose rows up to a horizon, each local date exactly once.

A batch is one short transaction: claim due schedules, compute, insert, move `next_due_at`. Any number of
planners may run at once and be killed anywhere; the unique key on (log date, schedule) makes a repeat harmless.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from django.db import DataError, IntegrityError, connection, transaction

from dosing.cycle_values import parse_cycle
from dosing.cycles import Cycle, Occurrence, Rule, occurrences
from dosing.models import Schedule
from dosing.status import DoseStatus
from medtrack.database.ids import uuid7_text

HORIZON = timedelta(hours=36)
ANSWER_WINDOW = timedelta(hours=4)
BATCH = 5000
SLICE = 500

# What a rule that cannot be computed raises, each time again: an InvalidCycle is a ValueError, an unknown zone a
# LookupError, the name of a folder of zones an IsADirectoryError. Anything else, like a tzdata file that cannot
# be read just now, fails the batch, which is tried again.
RULE_ERRORS = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, IsADirectoryError)

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
    """Read for speed: ids stay text, as they are only handed back, and the instant comes without its zone."""

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
    next_due_at_utc: datetime
    is_wanted: bool
    is_person_active: bool


# Lock first, read in a statement of its own: PostgreSQL takes rows joined to a locked one from the snapshot of
# the locking statement, which misses a zone change or a pause that was committed while it looked for the lock.
# Who writes those locks the schedules too, so what is read under the lock stays true until we commit.
_LOCK_DUE = """
    SELECT id::text FROM schedules
    WHERE next_due_at < %(until)s AND plan_error = ''
    ORDER BY next_due_at LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
"""

_LOCK_THESE = """
    SELECT id::text FROM schedules
    WHERE id = ANY(%(ids)s) AND next_due_at < %(until)s AND plan_error = ''
    ORDER BY id
    FOR NO KEY UPDATE
"""

# By key and by itself, whatever the statistics say: for some thousand rows the planner would read whole tables,
# batch after batch, and with helpers. Foreign keys are checked with each statement and not all at the commit, for
# which we would wait.
BY_KEY = """
    SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0; SET CONSTRAINTS ALL IMMEDIATE
"""

_READ_LOCKED = """
    SELECT s.id::text, s.medication_id::text, m.user_id::text, u.timezone, s.scheduled_time,
           s.cycle_type, s.cycle_value, s.quantity, s.start_date, s.end_date, s.next_due_at AT TIME ZONE 'UTC',
           s.is_active AND m.is_active AND m.paused_at IS NULL, u.is_active
    FROM schedules s
    JOIN medications m ON m.id = s.medication_id
    JOIN users u ON u.id = m.user_id
    WHERE s.id = ANY(%s)
"""

_INSERT_DOSES = """
    INSERT INTO dose_logs (id, user_id, medication_id, schedule_id, log_date, scheduled_time, due_at, answer_by,
                           quantity, status)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::date[], %s::time[],
                         %s::timestamptz[], %s::timestamptz[], %s::numeric[], %s::text[])
    ON CONFLICT (log_date, schedule_id) DO NOTHING
"""

_MOVE_ON = """
    UPDATE schedules s SET next_due_at = p.next_due_at
    FROM unnest(%s::uuid[], %s::timestamptz[]) AS p (id, next_due_at)
    WHERE s.id = p.id
"""


@transaction.atomic
def plan_due(*, now: datetime, limit: int = BATCH) -> Planned:
    """Plans one batch of schedules that are due for planning; empty when there are none left.

    `now` is the instant to plan from; what is already past its answer window then is recorded as missed. Inside
    a transaction of the caller's, its settings for speed last until that one ends.
    """
    with connection.cursor() as cursor:
        cursor.execute(BY_KEY)
    return _plan_apart(_lock(_LOCK_DUE, until=now + HORIZON, limit=limit), now)


def _plan_apart(ids: Sequence[str], now: datetime) -> Planned:
    """Halves a batch that the database refuses until the schedule to blame stands alone, and sets it aside."""
    try:
        with transaction.atomic():
            return _plan(ids, now)
    except (IntegrityError, DataError) as error:
        if len(ids) == 1:
            _set_aside(ids[0], error)
            return Planned(schedules=1, set_aside=1)
    middle = len(ids) // 2
    return _plan_apart(ids[:middle], now) + _plan_apart(ids[middle:], now)


@transaction.atomic
def plan_schedules(*, schedule_ids: Iterable[UUID], now: datetime) -> Planned:
    """Plans these schedules now, waiting for another planner that holds them."""
    return _plan(_lock(_LOCK_THESE, until=now + HORIZON, ids=list(schedule_ids)), now)


def rule_of(schedule: Schedule) -> Rule:
    """The rule of a schedule row. Raises InvalidCycle."""
    return _rule(schedule, parse_cycle(schedule.cycle_type, schedule.cycle_value))


def can_be_planned(schedule: Schedule) -> bool:
    """False for what no check of ours let in: a damaged cycle, a zone that the tz database has dropped."""
    try:
        rule_of(schedule)
        return bool(schedule.medication.user.zone)
    except RULE_ERRORS:
        return False


def _rule(schedule: Schedule | _Claimed, cycle: Cycle) -> Rule:
    return Rule(
        cycle=cycle,
        scheduled_time=schedule.scheduled_time,
        start_date=schedule.start_date,
        end_date=schedule.end_date,
        quantity=schedule.quantity,
    )


def window_end(due_at: datetime, next_due_at: datetime | None) -> datetime:
    """When a dose is no longer waited for: after the answer window, or when the next one is due if earlier."""
    end = due_at + ANSWER_WINDOW
    if next_due_at is None or next_due_at <= due_at:  # a skipped date shares its neighbour's instant
        return end
    return min(end, next_due_at)


# A batch holds few different cycles and zones, and ZoneInfo itself keeps only the last eight it has read.
@lru_cache(maxsize=4096)
def _cycle(cycle_type: str, cycle_json: str | None) -> Cycle:
    return parse_cycle(cycle_type, None if cycle_json is None else json.loads(cycle_json))


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _lock(sql: str, **params: Any) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [schedule_id for (schedule_id,) in cursor.fetchall()]


def _plan(ids: Sequence[str], now: datetime) -> Planned:
    """Computes and writes by turns, without waiting: PostgreSQL writes one slice while we compute the next."""
    doses = 0
    failed: dict[str, Exception] = {}
    with connection.cursor() as reader, connection.cursor() as writer:
        reader.execute(_READ_LOCKED, [_array(ids)])
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
            found, next_due_at = _window(schedule, until=until)
        except RULE_ERRORS as error:  # one poison schedule must not stop its neighbours
            failed[schedule.schedule_id] = error
            continue
        doses.extend(_dose_rows(schedule, found, next_due_at, now))
        moves.append((schedule.schedule_id, next_due_at or "NULL"))
    if doses:
        writer.execute(_INSERT_DOSES, [_array(column) for column in zip(*doses, strict=True)])
    if moves:
        writer.execute(_MOVE_ON, [_array(column) for column in zip(*moves, strict=True)])
    return len(doses)


def _set_aside(schedule_id: str, error: Exception) -> None:
    log.error("schedule set aside", schedule_id=schedule_id, exc_info=error)
    reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    Schedule.objects.filter(id=schedule_id).update(plan_error=reason[:200])


def _window(schedule: _Claimed, *, until: datetime) -> tuple[list[Occurrence], datetime | None]:
    """The occurrences due before `until`, and when the one after them is due.

    While a person's account is inactive nothing falls due, but the schedule moves on, to be there when it is active.
    """
    if not schedule.is_wanted:
        return [], None
    found: list[Occurrence] = []
    following: datetime | None = None
    rule = _rule(schedule, _cycle(schedule.cycle_type, schedule.cycle_json))
    since = schedule.next_due_at_utc.replace(tzinfo=UTC)
    for occurrence in occurrences(rule, zone=_zone(schedule.timezone), since=since):
        if occurrence.due_at >= until:
            following = occurrence.due_at
            break
        found.append(occurrence)
    return found if schedule.is_person_active else [], following


def _dose_rows(
    schedule: _Claimed, found: Sequence[Occurrence], next_due_at: datetime | None, now: datetime
) -> Iterable[tuple[Any, ...]]:
    followers = [occurrence.due_at for occurrence in found[1:]] + [next_due_at]
    for occurrence, follower in zip(found, followers, strict=False):
        answer_by = window_end(occurrence.due_at, follower)
        yield (
            uuid7_text(),
            schedule.user_id,
            schedule.medication_id,
            schedule.schedule_id,
            occurrence.log_date,
            schedule.scheduled_time,
            occurrence.due_at,
            answer_by,
            occurrence.quantity,
            DoseStatus.PENDING.value if answer_by > now else DoseStatus.MISSED.value,
        )


def _array(values: Iterable[Any]) -> str:
    """PostgreSQL's text of an array of ids, dates, numbers: what needs no quotes, which psycopg adds one by one."""
    return "{" + ",".join(map(str, values)) + "}"
