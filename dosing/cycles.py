"""The cycle arithmetic: on which local dates a schedule falls, and at which instants that is.

Pure: no clock, no database. The rules are the contract's ("Cycles"); local dates and wall clocks are in the
patient's IANA zone, instants in UTC. Planning, previews and adherence all use `occurrences`.
"""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


class Cycle:
    """Which dates a schedule that began on `start` falls on."""

    __slots__ = ()

    def dates(self, start: date, first: date) -> Iterator[date]:
        """The dates from `first` on, ascending; `first` is not before `start`."""
        raise NotImplementedError

    def quantity(self, start: date, day: date, planned: Decimal) -> Decimal:
        """How much is taken on `day`, one of the dates."""
        return planned

    def usual_gap(self) -> timedelta | None:
        """The least whole days between two dates of an ordinary stretch; None where nothing is usual."""
        return None


@dataclass(frozen=True, slots=True)
class Daily(Cycle):
    def dates(self, start: date, first: date) -> Iterator[date]:
        return _days(first)

    def usual_gap(self) -> timedelta:
        return _DAY


@dataclass(frozen=True, slots=True)
class Weekly(Cycle):
    """ISO `weekdays` (0 is Monday) of every n-th week, counted from the week of the start date."""

    weekdays: frozenset[int]
    every: int

    def dates(self, start: date, first: date) -> Iterator[date]:
        first_monday = start.toordinal() - start.weekday()
        for day in _days(first):
            weeks, weekday = divmod(day.toordinal() - first_monday, 7)
            if weekday in self.weekdays and weeks % self.every == 0:
                yield day

    def usual_gap(self) -> timedelta:
        days = sorted(self.weekdays)
        return _least_gap(days, around=7 * self.every + days[0] - days[-1])


@dataclass(frozen=True, slots=True)
class Interval(Cycle):
    """The start date and every n days after it."""

    every: int

    def dates(self, start: date, first: date) -> Iterator[date]:
        return _days(first + timedelta(days=-(first - start).days % self.every), self.every)

    def usual_gap(self) -> timedelta:
        return timedelta(days=self.every)


@dataclass(frozen=True, slots=True)
class OnOff(Cycle):
    """`on` days with, `off` days without, over and over from the start date."""

    on: int
    off: int

    def dates(self, start: date, first: date) -> Iterator[date]:
        return (day for day in _days(first) if (day - start).days % (self.on + self.off) < self.on)

    def usual_gap(self) -> timedelta:
        return _DAY if self.on > 1 else timedelta(days=self.on + self.off)


@dataclass(frozen=True, slots=True)
class Monthly(Cycle):
    """Days of the month, ascending; one past the month's end falls on its last day."""

    days: tuple[int, ...]

    def dates(self, start: date, first: date) -> Iterator[date]:
        for year, month in _months(first):
            length = monthrange(year, month)[1]
            for number in sorted({min(number, length) for number in self.days}):
                if (day := date(year, month, number)) >= first:
                    yield day

    def usual_gap(self) -> timedelta:
        """Within a month of 31 days, or from the last date of a February of 28 to the first of March."""
        return _least_gap(self.days, around=28 + self.days[0] - min(self.days[-1], 28))


@dataclass(frozen=True, slots=True)
class Dates(Cycle):
    """Exactly these, ascending."""

    days: tuple[date, ...]

    def dates(self, start: date, first: date) -> Iterator[date]:
        return (day for day in self.days if day >= first)


@dataclass(frozen=True, slots=True)
class Taper(Cycle):
    """Daily while the steps last, each a number of days and the quantity of those days."""

    steps: tuple[tuple[int, Decimal], ...]

    def dates(self, start: date, first: date) -> Iterator[date]:
        length = sum(days for days, _quantity in self.steps)
        return takewhile(lambda day: (day - start).days < length, _days(first))

    def quantity(self, start: date, day: date, planned: Decimal) -> Decimal:
        left = (day - start).days
        for days, quantity in self.steps:
            if left < days:
                return quantity
            left -= days
        raise ValueError(f"{day} is after the last step")

    def usual_gap(self) -> timedelta:
        return _DAY


@dataclass(frozen=True, slots=True)
class AsNeeded(Cycle):
    """Never planned; the limits hold when an intake is recorded. None is no limit."""

    min_gap: timedelta | None
    max_per_day: int | None

    def dates(self, start: date, first: date) -> Iterator[date]:
        return iter(())


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
        occurrence = _occurrence(rule, log_date, zone)
        if occurrence.due_at >= since:
            yield occurrence


def occurrence_on(rule: Rule, log_date: date, *, zone: ZoneInfo) -> Occurrence | None:
    """The occurrence of `rule` on this local date, or None when the rule does not fall on it."""
    if log_date < rule.start_date or (rule.end_date is not None and log_date > rule.end_date):
        return None
    if next(rule.cycle.dates(rule.start_date, log_date), None) != log_date:
        return None
    return _occurrence(rule, log_date, zone)


def _occurrence(rule: Rule, log_date: date, zone: ZoneInfo) -> Occurrence:
    due_at = due_instant(log_date, rule.scheduled_time, zone)
    return Occurrence(log_date, due_at, rule.cycle.quantity(rule.start_date, log_date, rule.quantity))


@lru_cache(maxsize=2**14)
def due_instant(log_date: date, scheduled_time: time, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall clock on a date.

    A time that exists twice is the first one (RFC 5545, `fold=0`); a time that a gap skips is the first
    instant after the gap.
    """
    wall = datetime.combine(log_date, scheduled_time).replace(fold=0)
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


def _least_gap(days: Sequence[int], *, around: int) -> timedelta:
    """Between neighbours of `days`, ascending, or from the last `around` to the first."""
    return timedelta(days=min([around, *(later - day for day, later in pairwise(days))]))


def _days(first: date, every: int = 1) -> Iterator[date]:
    """Ends quietly with the calendar, in the year 9999."""
    return map(date.fromordinal, range(first.toordinal(), date.max.toordinal() + 1, every))


def _months(first: date) -> Iterator[tuple[int, int]]:
    start = first.year * 12 + first.month - 1
    return ((number // 12, number % 12 + 1) for number in range(start, (date.max.year + 1) * 12))
