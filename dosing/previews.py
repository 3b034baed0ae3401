"""Previews a rule between two local dates: its occurrences, and warnings about unexpected ones.

Pure: no clock, no database. Whether doses are planned by the rule (the medication may be paused, the schedule
ended) is not considered. Due instants are UTC; dates and wall-clock times are in the given zone.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import takewhile
from typing import ClassVar
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from dosing.cycles import Occurrence, Rule, due_instant, occurrences
from dosing.durations import days, hours, minutes

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Expected:
    """An occurrence of the rule. `due_at` is in UTC, `due_at_local` the same instant in the user's zone."""

    log_date: date
    scheduled_time: time
    due_at: datetime
    due_at_local: datetime
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class MovedByDst:
    """The scheduled time does not exist on the log date: clocks skip it.

    `due_at_local` is the end of the gap.
    """

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
    """Less time has passed since the previous occurrence than the cycle's usual gap."""

    code: ClassVar[str] = "closer_than_usual"
    log_date: date
    due_at: datetime
    elapsed: timedelta
    usual: timedelta
    previous_due_at: datetime

    @property
    def detail(self) -> str:
        texts = {"elapsed": _duration(self.elapsed), "usual": _duration(self.usual)}
        return _("%(elapsed)s after the dose before; usually it is %(usual)s.") % texts


PreviewWarning = MovedByDst | CloserThanUsual


@dataclass(frozen=True, slots=True)
class Preview:
    results: list[Expected]
    warnings: list[PreviewWarning]


def preview(rule: Rule, *, zone: ZoneInfo, first: date, last: date) -> Preview:
    """The occurrences of `rule` on the local dates from `first` to `last`, both inclusive, with warnings."""
    usual = rule.cycle.usual_gap()
    # The first occurrence is compared with the one before it, which may lie before `first`; but what is due
    # before `since` is further away than usual.
    since = due_instant(first, time.min, zone) - (usual or timedelta())
    results: list[Expected] = []
    warnings: list[PreviewWarning] = []
    previous: Occurrence | None = None
    for occurrence in takewhile(lambda o: o.log_date <= last, occurrences(rule, zone=zone, since=since)):
        # What lies before `first` was read only to be compared with.
        if occurrence.log_date >= first:
            local = occurrence.due_at.astimezone(zone)
            results.append(
                Expected(
                    occurrence.log_date,
                    rule.scheduled_time,
                    occurrence.due_at,
                    local,
                    occurrence.quantity,
                )
            )
            # Without the zone: in an hour that exists twice the time of day is right, only a gap moves it.
            if local.replace(tzinfo=None) != datetime.combine(occurrence.log_date, rule.scheduled_time):
                warnings.append(
                    MovedByDst(occurrence.log_date, occurrence.due_at, rule.scheduled_time, local)
                )
            if previous is not None and usual is not None:
                # Between instants, not dates: of two days one may have 23 hours.
                elapsed = occurrence.due_at - previous.due_at
                if elapsed < usual:
                    warnings.append(
                        CloserThanUsual(
                            occurrence.log_date, occurrence.due_at, elapsed, usual, previous.due_at
                        )
                    )
        previous = occurrence
    return Preview(results, warnings)


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
