"""What a rule will ask of the patient between two local dates, and what may surprise them there.

Pure: no clock, no database. It reads the rule as it stands, so whether doses are planned by it at all (a paused
medicine, an ended schedule) is another question. Due instants are UTC, dates and wall clocks of the given zone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import takewhile
from typing import ClassVar
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dosing.cycles import Occurrence, Rule, due_instant, occurrences

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Expected:
    """An occurrence as the patient will live it: `due_at` in UTC, `due_at_local` the same in their zone."""

    log_date: date
    scheduled_time: time
    due_at: datetime
    due_at_local: datetime
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class MovedByDst:
    """The scheduled wall clock does not exist on the log date; `due_at_local` is when the gap ends."""

    code: ClassVar[str] = "moved_by_dst"
    log_date: date
    due_at: datetime
    scheduled_time: time
    due_at_local: datetime

    @property
    def detail(self) -> str:
        sentence = _("The clocks change: %(time)s does not exist on this day, so the dose is due at %(due)s.")
        due = f"{self.due_at_local:%H:%M}"
        if self.due_at_local.date() != self.log_date:
            due = f"{self.due_at_local:%Y-%m-%d %H:%M}"
        return sentence % {"time": f"{self.scheduled_time:%H:%M}", "due": due}


@dataclass(frozen=True, slots=True)
class CloserThanUsual:
    """Less time has elapsed since the occurrence before than the cycle's usual gap."""

    code: ClassVar[str] = "closer_than_usual"
    log_date: date
    due_at: datetime
    elapsed: timedelta
    usual: timedelta

    @property
    def detail(self) -> str:
        words = {"elapsed": _in_words(self.elapsed), "usual": _in_words(self.usual)}
        return _("%(elapsed)s after the dose before; usually it is %(usual)s.") % words


Caution = MovedByDst | CloserThanUsual


@dataclass(frozen=True, slots=True)
class Preview:
    results: list[Expected]
    warnings: list[Caution]


def preview(rule: Rule, *, zone: ZoneInfo, first: date, last: date) -> Preview:
    """The occurrences of `rule` on the local dates from `first` to `last`, both inclusive, and the warnings.

    A dose is compared with the one before it also when that one lies before `first`.
    """
    usual = rule.cycle.usual_gap()
    # What is due before this is further away from the first date than usual, and of no interest.
    since = due_instant(first, time.min, zone) - (usual or timedelta())
    found = Preview([], [])
    before: Occurrence | None = None
    for occurrence in takewhile(lambda o: o.log_date <= last, occurrences(rule, zone=zone, since=since)):
        if occurrence.log_date >= first:
            expected = _expected(rule, occurrence, zone)
            found.results.append(expected)
            found.warnings.extend(_moved(expected))
            found.warnings.extend(_closer(before, occurrence, usual))
        before = occurrence
    return found


def _expected(rule: Rule, occurrence: Occurrence, zone: ZoneInfo) -> Expected:
    return Expected(
        log_date=occurrence.log_date,
        scheduled_time=rule.scheduled_time,
        due_at=occurrence.due_at,
        due_at_local=occurrence.due_at.astimezone(zone),
        quantity=occurrence.quantity,
    )


def _moved(dose: Expected) -> Iterator[MovedByDst]:
    if dose.due_at_local.replace(tzinfo=None) != datetime.combine(dose.log_date, dose.scheduled_time):
        yield MovedByDst(dose.log_date, dose.due_at, dose.scheduled_time, dose.due_at_local)


def _closer(
    before: Occurrence | None, occurrence: Occurrence, usual: timedelta | None
) -> Iterator[CloserThanUsual]:
    if before is None or usual is None:
        return
    elapsed = occurrence.due_at - before.due_at
    if elapsed < usual:
        yield CloserThanUsual(occurrence.log_date, occurrence.due_at, elapsed, usual)


def _in_words(span: timedelta) -> str:
    """Hours and minutes below 48 hours, otherwise days and hours, rounded down so that less stays less."""
    hours, rest = divmod(span, _HOUR)
    if hours < 48:
        minutes = rest // _MINUTE
        whole, left = _hours(hours), _minutes(minutes) if minutes else ""
    else:
        days, hours = divmod(hours, 24)
        whole, left = _days(days), _hours(hours) if hours else ""
    return _("%(whole)s %(left)s") % {"whole": whole, "left": left} if left else whole


def _days(count: int) -> str:
    return ngettext("%(count)s day", "%(count)s days", count) % {"count": count}


def _hours(count: int) -> str:
    return ngettext("%(count)s hour", "%(count)s hours", count) % {"count": count}


def _minutes(count: int) -> str:
    return ngettext("%(count)s minute", "%(count)s minutes", count) % {"count": count}
