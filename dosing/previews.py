"""Previews a rule between two local dates: its occurrences, and warnings about unexpected ones.

Pure: no clock, no database. Whether doses are planned by the rule (the medication may be paused, the schedule
ended) is not considered. Due instants are UTC; dates and wall-clock times are in the given zone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import takewhile
from typing import ClassVar
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from dosing.cycles import Occurrence, Rule, due_instant, occurrences
from dosing.durations import days, hours, minutes
from dosing.travel import endless, own_gap

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Expected:
    """An occurrence of the rule. `due_at` is in UTC, `due_at_local` the same instant in the user's zone."""

    log_date: date
    scheduled_time: time
    due_at: datetime
    due_at_local: datetime
    quantity: Decimal
    ordinal: int = 0


@dataclass(frozen=True, slots=True)
class MovedByDst:
    """The scheduled time does not exist on the log date: clocks skip it.

    `due_at_local` is the end of the gap.
    """

    code: ClassVar[str] = "moved_by_dst"
    previous_due_at: ClassVar[None] = None
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
    """Less time has passed since the previous occurrence than the cycle's usual gap."""

    code: ClassVar[str] = "closer_than_usual"
    log_date: date
    due_at: datetime
    previous_due_at: datetime
    usual: timedelta

    @property
    def elapsed(self) -> timedelta:
        return self.due_at - self.previous_due_at

    @property
    def detail(self) -> str:
        texts = {"elapsed": _duration(self.elapsed), "usual": _duration(self.usual)}
        return _("%(elapsed)s after the dose before; usually it is %(usual)s.") % texts


@dataclass(frozen=True, slots=True)
class LongerThanUsual(CloserThanUsual):
    """More time passes since the previous occurrence than the cycle has there; `usual` is that time."""

    code: ClassVar[str] = "longer_than_usual"


@dataclass(frozen=True, slots=True)
class AbsorbedByTravel:
    """The date has no dose because the time zone changes. In the new zone it would have been due at `due_at`."""

    code: ClassVar[str] = "absorbed_by_travel"
    log_date: date
    due_at: datetime
    previous_due_at: datetime | None

    @property
    def detail(self) -> str:
        return _("There is no dose on %(date)s, because the time zone changes.") % {"date": self.log_date}


@dataclass(frozen=True, slots=True)
class DateLivedTwice:
    """The date has one more dose, because the time zone changes and the date is lived again."""

    code: ClassVar[str] = "date_lived_twice"
    log_date: date
    due_at: datetime
    previous_due_at: datetime | None

    @property
    def detail(self) -> str:
        sentence = _(
            "There is one more dose on %(date)s, because the time zone changes and the date repeats."
        )
        return sentence % {"date": self.log_date}


GapWarning = CloserThanUsual | LongerThanUsual | AbsorbedByTravel | DateLivedTwice
PreviewWarning = MovedByDst | GapWarning
# An occurrence and the zone that the user is in then; None: it is a dose that was planned in any zone.
Placed = tuple[Occurrence, ZoneInfo | None]


@dataclass(frozen=True, slots=True)
class Preview:
    results: list[Expected]
    warnings: list[PreviewWarning]


def preview(rule: Rule, *, zone: ZoneInfo, first: date, last: date) -> Preview:
    """The occurrences of `rule` on the local dates from `first` to `last`, both inclusive, with warnings."""
    since = preview_since(rule, zone=zone, first=first)
    placed = ((occurrence, zone) for occurrence in occurrences(rule, zone=zone, since=since))
    return preview_of(placed, rule=rule, first=first, last=last)


def preview_since(rule: Rule, *, zone: ZoneInfo, first: date) -> datetime:
    """From when on the occurrences must be read: the first one is compared with the one before it.

    Travel can put up to one and a half usual gaps, and a day, between them.
    """
    usual = rule.cycle.usual_gap() or timedelta()
    return due_instant(first, time.min, zone) - usual * 3 / 2 - timedelta(days=1)


def preview_of(
    placed: Iterable[tuple[Occurrence, ZoneInfo]],
    *,
    rule: Rule,
    first: date,
    last: date,
    last_due: Occurrence | None = None,
) -> Preview:
    """Previews these occurrences of `rule`. `last_due` is the schedule's last dose that was due."""
    results: list[Expected] = []
    warnings: list[PreviewWarning] = []
    previous: Placed | None = None
    for occurrence, zone in placed:
        before = previous[0].due_at if previous else datetime.min.replace(tzinfo=UTC)
        if last_due and before < last_due.due_at < occurrence.due_at:
            previous = last_due, None
        # What lies before `first` was read only to be compared with.
        if first <= occurrence.log_date <= last:
            results.append(_expected(rule, occurrence, zone))
            warnings += _moved_by_dst(rule, occurrence, zone)
        found = gap_warnings(rule, previous, (occurrence, zone))
        warnings += [warning for warning in found if first <= warning.log_date <= last]
        if occurrence.log_date > last:
            break
        previous = occurrence, zone
    return Preview(results, warnings)


def gap_warnings(
    rule: Rule, previous: Placed | None, following: tuple[Occurrence, ZoneInfo]
) -> Iterator[GapWarning]:
    """What is unusual about an occurrence, compared with the one before it."""
    occurrence, zone = following
    before = previous[0] if previous else None
    previous_due_at = before.due_at if before else None
    absorbed = list(_absorbed(rule, previous, occurrence))
    for day in absorbed:
        yield AbsorbedByTravel(day, due_instant(day, rule.scheduled_time, zone), previous_due_at)
    if occurrence.ordinal > 0:
        yield DateLivedTwice(occurrence.log_date, occurrence.due_at, previous_due_at)
    usual = rule.cycle.usual_gap()
    if before is None or usual is None:
        return
    # Between instants, not dates: of two days one may have 23 hours.
    elapsed = occurrence.due_at - before.due_at
    if elapsed < usual:
        yield CloserThanUsual(occurrence.log_date, occurrence.due_at, before.due_at, usual)
    own = own_gap(rule.cycle, rule.start_date, before.log_date)
    # On one clock only a day of 25 hours makes a gap longer, which is nothing to warn of.
    is_one_clock = all(_is_on_clock(rule, dose, zone) for dose in (before, occurrence)) and not absorbed
    if own is not None and elapsed > own and not is_one_clock:
        yield LongerThanUsual(occurrence.log_date, occurrence.due_at, before.due_at, own)


def _absorbed(rule: Rule, previous: Placed | None, occurrence: Occurrence) -> Iterable[date]:
    """The dates of the cycle between two occurrences, which travel took."""
    if previous is None or previous[1] is None:
        known = rule.travel.absorbed if rule.travel else ()
        after = previous[0].log_date if previous else date.min
        return [day for day in known if after < day < occurrence.log_date]
    start = rule.start_date
    following = previous[0].log_date + timedelta(days=1)
    days = endless(rule.cycle).dates(start, max(start, following))
    return takewhile(lambda day: day < occurrence.log_date, days)


def _expected(rule: Rule, occurrence: Occurrence, zone: ZoneInfo) -> Expected:
    local = occurrence.due_at.astimezone(zone)
    return Expected(
        occurrence.log_date,
        rule.scheduled_time,
        occurrence.due_at,
        local,
        occurrence.quantity,
        occurrence.ordinal,
    )


def _moved_by_dst(rule: Rule, occurrence: Occurrence, zone: ZoneInfo) -> list[MovedByDst]:
    # One of the zone before has another clock.
    if not _is_on_clock(rule, occurrence, zone):
        return []
    local = occurrence.due_at.astimezone(zone)
    # Without the zone: in an hour that exists twice the time of day is right, only a gap moves it.
    if local.replace(tzinfo=None) == datetime.combine(occurrence.log_date, rule.scheduled_time):
        return []
    return [MovedByDst(occurrence.log_date, occurrence.due_at, rule.scheduled_time, local)]


def _is_on_clock(rule: Rule, occurrence: Occurrence, zone: ZoneInfo) -> bool:
    return occurrence.due_at == due_instant(occurrence.log_date, rule.scheduled_time, zone)


def _duration(span: timedelta) -> str:
    """Hours and minutes below 48 hours, otherwise days and hours. Rounded down, so that less stays less."""
    whole_hours, rest = divmod(span, _HOUR)
    if whole_hours < 48:
        texts = [hours(whole_hours)]
        if whole_minutes := rest // _MINUTE:
            texts.append(minutes(whole_minutes))
    else:
        whole_days, hours_left = divmod(whole_hours, 24)
        texts = [days(whole_days)]
        if hours_left:
            texts.append(hours(hours_left))
    if len(texts) == 1:
        return texts[0]
    return _("%(whole)s %(left)s") % {"whole": texts[0], "left": texts[1]}
