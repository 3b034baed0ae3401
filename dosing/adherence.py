"""How well planned doses were answered. Pure: no clock, no database, no zone; dates are the doses' log dates.

A planned dose counts as *due* when it was answered, early answers included, or missed, or when its due
instant has passed and its answer is awaited. Not counted are doses that are not yet due, as-needed intakes,
and doses that the plan no longer has: those of them that were taken are *extra*. *On time* means taken at
most `ON_TIME` before or after it was due. The *rate* is taken/due and the *on-time rate* on-time/taken, None
if the divisor is 0.

A day is *complete* if it has due doses and all were taken, and *broken* if one was skipped or missed. A
*streak* is a number of complete days: a broken day ends it, a day that is neither complete nor broken does
not.
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from dosing.cycles import Rule, occurrences

ON_TIME = timedelta(minutes=60)
_DAY = timedelta(days=1)

Row = Mapping[str, Any]


class GroupBy(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    MEDICATION = "medication"


class PeriodLength(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"


class Period(NamedTuple):
    """A range of local dates, both inclusive."""

    start: date
    end: date


class Streaks(NamedTuple):
    """Lengths in complete days; `current` is the streak that has not ended by the last day."""

    current: int
    longest: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers of doses. `due` includes those taken, skipped and missed, `taken` those on time.

    `taken_extra` are apart from all others.
    """

    due: int = 0
    taken: int = 0
    skipped: int = 0
    missed: int = 0
    on_time: int = 0
    taken_extra: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.due + other.due,
            self.taken + other.taken,
            self.skipped + other.skipped,
            self.missed + other.missed,
            self.on_time + other.on_time,
            self.taken_extra + other.taken_extra,
        )

    @property
    def rate(self) -> float | None:
        return _share(self.taken, self.due)

    @property
    def on_time_rate(self) -> float | None:
        return _share(self.on_time, self.taken)

    @property
    def is_complete(self) -> bool:
        return 0 < self.due == self.taken

    @property
    def is_broken(self) -> bool:
        return self.skipped + self.missed > 0


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of a whole range, of a period in it, or of one medication with its own streaks."""

    figures: Figures
    period: Period | None = None
    medication: Mapping[str, Any] | None = None
    streaks: Streaks | None = None


def period_around(today: date, length: PeriodLength, *, week_start: int) -> Period:
    """Today, or the week that contains today and begins on the ISO weekday `week_start` (1 is Monday)."""
    if length == PeriodLength.DAILY:
        return Period(today, today)
    start = today - timedelta(days=(today.isoweekday() - week_start) % 7)
    return Period(start, start + 6 * _DAY)


def periods(group_by: GroupBy, first: date, last: date, *, week_start: int) -> Iterator[Period]:
    """Yields the days, weeks or months between two local dates, both inclusive; the first and last may be cut
    short.

    Weeks begin on the ISO weekday `week_start`.
    """
    start = first
    while start <= last:
        end = start
        if group_by == GroupBy.WEEK:
            end = period_around(start, PeriodLength.WEEKLY, week_start=week_start).end
        elif group_by == GroupBy.MONTH:
            end = start.replace(day=monthrange(start.year, start.month)[1])
        # Only the range is reported on, though the week or month goes on after it.
        end = min(end, last)
        yield Period(start, end)
        start = end + _DAY


def total(rows: Iterable[Row]) -> Line:
    """The figures and streaks of all `rows`, which are those of DoseLogQuerySet.figures_by."""
    days = _by_day(rows)
    return Line(_sum(days.values()), streaks=streaks(days))


def by_period(rows: Iterable[Row], periods: Iterable[Period]) -> list[Line]:
    """One line for each period, also if no dose is due in it."""
    days = _by_day(rows)
    lines = []
    for period in periods:
        length = (period.end - period.start).days + 1
        dates = (period.start + timedelta(days=n) for n in range(length))
        lines.append(Line(_sum(days[day] for day in dates if day in days), period))
    return lines


def by_medication(rows: Iterable[Row]) -> list[Line]:
    """One line for each medication, in the order of the rows of DoseLogQuerySet.figures_by_medication."""
    medications: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        medications[row["medication_id"]].append(row)
    lines = []
    for id, its_rows in medications.items():
        described = {name: its_rows[0][f"medication__{name}"] for name in ("name", "dosage", "color_tag")}
        days = _by_day(its_rows)
        lines.append(Line(_sum(days.values()), medication={"id": id, **described}, streaks=streaks(days)))
    return lines


def streaks(days: Mapping[date, Figures]) -> Streaks:
    current = longest = 0
    for day in sorted(days):
        if days[day].is_broken:
            current = 0
        elif days[day].is_complete:
            current += 1
            longest = max(longest, current)
    return Streaks(current, longest)


def not_planned_yet(
    rule: Rule, *, zone: ZoneInfo, since: datetime, period: Period, planned: Collection[tuple[date, int]]
) -> int:
    """The number of doses of the period that are not planned yet: the rule's occurrences from `since` (UTC) on.

    Those in `planned`, by log date and ordinal, have their dose already and get no second one.
    """
    upcoming = occurrences(rule, zone=zone, since=since)
    # Stops after the period's end, because a rule may go on until the year 9999. After travel one occurrence
    # can have a later date than the one after it.
    near = takewhile(lambda one: one.log_date <= period.end + _DAY, upcoming)
    return sum(
        1
        for one in near
        if period.start <= one.log_date <= period.end and (one.log_date, one.ordinal) not in planned
    )


def _by_day(rows: Iterable[Row]) -> dict[date, Figures]:
    days: dict[date, Figures] = defaultdict(Figures)
    for row in rows:
        days[row["log_date"]] += Figures(
            row["due"], row["taken"], row["skipped"], row["missed"], row["on_time"], row["taken_extra"]
        )
    return days


def _sum(figures: Iterable[Figures]) -> Figures:
    return sum(figures, Figures())


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
