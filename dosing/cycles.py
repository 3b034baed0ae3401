"""The cycle arithmetic: on which local dates a schedule falls, and at which instants that is.

Pure: no clock, no database. The rules are the contract's ("Cycles"); local dates and wall clocks are in the
patient's IANA zone, instants in UTC. Planning, previews and adherence all use `occurrences`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)


class InvalidCycle(ValueError):
    """The cycle cannot be read. `field` is the path inside `cycle_value`, `code` a stable reason."""

    def __init__(self, field: str, code: str) -> None:
        super().__init__(f"{field}: {code}" if field else code)
        self.field = field
        self.code = code


class Cycle(Protocol):
    def dates(self, start: date, first: date) -> Iterator[date]:
        """The dates from `first` on, ascending, of a schedule that began on `start`; `first >= start`."""
        ...


@dataclass(frozen=True, slots=True)
class Daily:
    def dates(self, start: date, first: date) -> Iterator[date]:
        return _every_day(first)


@dataclass(frozen=True, slots=True)
class Weekly:
    """ISO `weekdays` (0 is Monday) of every n-th week, counted from the week of the start date."""

    weekdays: frozenset[int]
    every: int

    def dates(self, start: date, first: date) -> Iterator[date]:
        first_monday = start - start.weekday() * _DAY
        for day in _every_day(first):
            if day.weekday() in self.weekdays and (day - first_monday).days // 7 % self.every == 0:
                yield day


@dataclass(frozen=True, slots=True)
class Rule:
    """A schedule as the arithmetic sees it; `end_date` is the last date, inclusive."""

    cycle: Cycle
    scheduled_time: time
    start_date: date
    end_date: date | None
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Occurrence:
    log_date: date
    due_at: datetime
    quantity: Decimal


def occurrences(rule: Rule, *, zone: ZoneInfo, since: datetime) -> Iterator[Occurrence]:
    """The occurrences of `rule` due at or after the instant `since`, ascending and lazily, at most one a date.

    Endless for a rule without an end, so take what you need.
    """
    # A gap moves an occurrence forward by up to a day, so the search starts one local date early.
    first = max(rule.start_date, since.astimezone(zone).date() - _DAY)
    for log_date in rule.cycle.dates(rule.start_date, first):
        if rule.end_date is not None and log_date > rule.end_date:
            return
        due_at = due_instant(log_date, rule.scheduled_time, zone)
        if due_at >= since:
            yield Occurrence(log_date, due_at, rule.quantity)


def due_instant(log_date: date, scheduled_time: time, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall clock on a date.

    A time that exists twice is the first one (RFC 5545, `fold=0`); a time that a gap skips is the first
    instant after the gap.
    """
    wall = datetime.combine(log_date, scheduled_time)
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    return _end_of_gap(wall, zone)


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """The transition itself: between the readings of `wall` by the offsets after and before it."""
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).replace(tzinfo=None) > wall:
            after = middle
        else:
            before = middle
    return after.replace(microsecond=0)


def parse_cycle(cycle_type: str, value: Any) -> Cycle:
    """The cycle of a `cycle_type` and its `cycle_value`. Raises InvalidCycle."""
    try:
        parse = _PARSERS[cycle_type]
    except KeyError:
        raise InvalidCycle("cycle_type", "not_supported") from None
    return parse(value)


def _parse_daily(value: Any) -> Cycle:
    if value is not None:
        raise InvalidCycle("cycle_value", "must_be_null")
    return Daily()


def _parse_weekly(value: Any) -> Cycle:
    value = _object(value, allowed={"days", "every"})
    days = value.get("days")
    if not isinstance(days, list) or not days:
        raise InvalidCycle("cycle_value.days", "required")
    if not all(isinstance(day, str) and day in WEEKDAYS for day in days):
        raise InvalidCycle("cycle_value.days", "unknown_weekday")
    if len(set(days)) != len(days):
        raise InvalidCycle("cycle_value.days", "repeated")
    return _weekly(tuple(days), _whole_number(value, "every", default=1, most=52))


@lru_cache(maxsize=4096)
def _weekly(days: tuple[str, ...], every: int) -> Weekly:
    return Weekly(frozenset(WEEKDAYS.index(day) for day in days), every)


def _object(value: Any, *, allowed: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidCycle("cycle_value", "must_be_object")
    if unknown := sorted(set(value) - allowed):
        raise InvalidCycle(f"cycle_value.{unknown[0]}", "unknown_key")
    return value


def _whole_number(value: Mapping[str, Any], key: str, *, default: int, most: int) -> int:
    number = value.get(key, default)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= most:
        raise InvalidCycle(f"cycle_value.{key}", "out_of_range")
    return number


def _every_day(first: date) -> Iterator[date]:
    """Ends quietly at the end of the calendar, year 9999."""
    for ordinal in range(first.toordinal(), date.max.toordinal() + 1):
        yield date.fromordinal(ordinal)


_PARSERS = {"daily": _parse_daily, "weekly": _parse_weekly}
