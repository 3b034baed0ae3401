"""The cycle arithmetic: on which local dates a schedule has a dose, and at which instants these are due.

Pure: no clock, no database. The rules are those of docs/contract.md, "Cycles". Local dates and wall-clock
times are in the user's IANA zone, instants in UTC. Planning, previews and adherence all use `occurrences`.
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise, takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


class Cycle:
    """The dates of a schedule. `start` is always its start date, from which the cycle counts."""

    __slots__ = ()

    def dates(self, start: date, first: date) -> Iterator[date]:
        """Yields the dates from `first` on, ascending; `first` must not be before `start`."""
        raise NotImplementedError

    def quantity(self, start: date, day: date, planned: Decimal) -> Decimal:
        """The quantity of `day`, which must be one of the dates; `planned` is the schedule's own quantity."""
        return planned

    def usual_gap(self) -> timedelta | None:
        """The least number of whole days between two dates of the cycle, or None if it has no regular gap."""
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
    """`on` days with a dose, then `off` days without, repeated from the start date."""

    on: int
    off: int

    def dates(self, start: date, first: date) -> Iterator[date]:
        return (day for day in _days(first) if (day - start).days % (self.on + self.off) < self.on)

    def usual_gap(self) -> timedelta:
        return _DAY if self.on > 1 else timedelta(days=self.on + self.off)


@dataclass(frozen=True, slots=True)
class Monthly(Cycle):
    """Days of the month, ascending; a day that a month does not have is its last day."""

    days: tuple[int, ...]

    def dates(self, start: date, first: date) -> Iterator[date]:
        # Months are counted from the year 0, so that adding to the count moves to the next year.
        months = range(first.year * 12 + first.month - 1, (date.max.year + 1) * 12)
        for year, month in ((number // 12, number % 12 + 1) for number in months):
            length = monthrange(year, month)[1]
            for number in sorted({min(number, length) for number in self.days}):
                if (day := date(year, month, number)) >= first:
                    yield day

    def usual_gap(self) -> timedelta:
        # The least gap is one within a month of 31 days, or that from the end of a February of 28 days into
        # March.
        return _least_gap(self.days, around=28 + self.days[0] - min(self.days[-1], 28))


@dataclass(frozen=True, slots=True)
class Dates(Cycle):
    """These dates only, ascending."""

    days: tuple[date, ...]

    def dates(self, start: date, first: date) -> Iterator[date]:
        return (day for day in self.days if day >= first)


@dataclass(frozen=True, slots=True)
class Taper(Cycle):
    """Every day, in steps: each is a number of days and the quantity of these days."""

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
    """Never planned. The limits apply when an intake is recorded; None is no limit."""

    min_gap: timedelta | None
    max_per_day: int | None
    max_quantity_per_day: Decimal | None = None

    @property
    def has_any(self) -> bool:
        return (self.min_gap, self.max_per_day, self.max_quantity_per_day) != (None, None, None)

    def dates(self, start: date, first: date) -> Iterator[date]:
        return iter(())


class Occurrence(NamedTuple):
    """A dose that a rule has on a local date, due at a UTC instant.

    `ordinal` counts the occurrences on the date; it is 1 where travel makes a date happen twice.
    """

    log_date: date
    due_at: datetime
    quantity: Decimal
    ordinal: int = 0


@dataclass(frozen=True, slots=True)
class Travel:
    """How a rule goes on after a change of the time zone. Instants are in UTC.

    What the rule would have from `last_due_at`, the last due instant before the change, up to `not_before` is
    absorbed: it does not exist. `kept` is an occurrence of the zone before that stays at its instant.
    `ordinals` are those of dates that happen twice. A taper goes on `shift` days later than its dates say: one
    day for each date that was absorbed, less one for each that happens twice. `absorbed` are the dates that
    have no dose because of the change.
    """

    last_due_at: datetime
    not_before: datetime
    kept: Occurrence | None = None
    ordinals: Mapping[date, int] = field(default_factory=dict)
    shift: int = 0
    absorbed: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """The part of a schedule that the arithmetic needs; `end_date` is the last date, inclusive."""

    cycle: Cycle
    scheduled_time: time
    start_date: date
    end_date: date | None
    quantity: Decimal
    travel: Travel | None = None


def occurrences(rule: Rule, *, zone: ZoneInfo, since: datetime) -> Iterator[Occurrence]:
    """Yields the occurrences of `rule` due at or after the instant `since`, ascending.

    There is at most one for each local date, except where travel makes a date happen twice. Without an
    `end_date` most rules yield one until the year 9999, so stop reading where you need no more.
    """
    # A clock change can move an occurrence forward by up to a day (Samoa skipped a date in 2011), so the
    # search starts one local date early.
    start = _start(rule)
    first = max(start, since.astimezone(zone).date() - _DAY)
    if rule.travel is None:
        # The planner's case, which is nearly all.
        cycle, end_date = rule.cycle, rule.end_date
        for log_date in cycle.dates(start, first):
            if end_date is not None and log_date > end_date:
                return
            due_at = due_instant(log_date, rule.scheduled_time, zone)
            if due_at >= since:
                yield Occurrence(log_date, due_at, cycle.quantity(start, log_date, rule.quantity))
        return
    kept = rule.travel.kept
    for log_date in rule.cycle.dates(start, first):
        if rule.end_date is not None and log_date > rule.end_date:
            break
        occurrence = _occurrence(rule, log_date, zone)
        if occurrence is None or occurrence.due_at < since:
            continue
        # The kept occurrence has the clock of another zone, so its place is found by its instant.
        if kept is not None and kept.due_at <= occurrence.due_at:
            if kept.due_at >= since:
                yield kept
            kept = None
        yield occurrence
    if kept is not None and kept.due_at >= since:
        yield kept


def occurrence_on(rule: Rule, log_date: date, *, zone: ZoneInfo, ordinal: int = 0) -> Occurrence | None:
    """The occurrence of `rule` with this local date and ordinal, or None if the rule has none."""
    if rule.travel and (kept := rule.travel.kept) and (kept.log_date, kept.ordinal) == (log_date, ordinal):
        return kept
    start = _start(rule)
    if log_date < start or (rule.end_date is not None and log_date > rule.end_date):
        return None
    if next(rule.cycle.dates(start, log_date), None) != log_date:
        return None
    occurrence = _occurrence(rule, log_date, zone)
    return occurrence if occurrence is not None and occurrence.ordinal == ordinal else None


def _start(rule: Rule) -> date:
    """The date from which the cycle counts."""
    if rule.travel and isinstance(rule.cycle, Taper):
        return rule.start_date + rule.travel.shift * _DAY
    return rule.start_date


def _occurrence(rule: Rule, log_date: date, zone: ZoneInfo) -> Occurrence | None:
    """The occurrence on a date of the cycle; None if travel absorbed it."""
    due_at = due_instant(log_date, rule.scheduled_time, zone)
    if rule.travel is None:
        quantity = rule.cycle.quantity(rule.start_date, log_date, rule.quantity)
        return Occurrence(log_date, due_at, quantity)
    if rule.travel.last_due_at <= due_at < rule.travel.not_before:
        return None
    quantity = rule.cycle.quantity(_start(rule), log_date, rule.quantity)
    return Occurrence(log_date, due_at, quantity, rule.travel.ordinals.get(log_date, 0))


@lru_cache(maxsize=2**14)
def due_instant(log_date: date, scheduled_time: time, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall-clock time on a local date.

    Where clocks go back and the time exists twice, it is the first of both (RFC 5545, `fold=0`). Where clocks
    go forward and skip the time, it is the first instant after the gap.
    """
    wall = datetime.combine(log_date, scheduled_time).replace(fold=0)
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # In a gap: the clock change lies between the instants of `wall` by the offset after it and by the one
    # before it.
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
    """The least gap between neighbours in `days`, ascending; `around` is that from the last to the next
    first.
    """
    return timedelta(days=min([around, *(later - day for day, later in pairwise(days))]))


def _days(first: date, every: int = 1) -> Iterator[date]:
    # Python's dates end with the year 9999, and so do these.
    return map(date.fromordinal, range(first.toordinal(), date.max.toordinal() + 1, every))
