"""What may surprise about a schedule that was just written: it will never be due, or is due sooner than usual.

The schedule is saved all the same. Instants are in UTC.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from dosing.cycles import AsNeeded, Occurrence, Rule, due_instant, occurrences
from dosing.dose_ids import dose_id
from dosing.models import DoseLog, Schedule
from dosing.planning import rule_of, zone_of
from dosing.previews import CloserThanUsual


@dataclass(frozen=True, slots=True)
class NeverDue:
    """The rule has no occurrence from now on. `was_due` says whether it had some before."""

    code: ClassVar[str] = "never_due"
    first: date
    last: date | None
    was_due: bool
    due_at: None = None
    previous_due_at: None = None

    @property
    def detail(self) -> str:
        if self.was_due:
            return _("All doses of this schedule are in the past. A later end or later dates make it due.")
        if self.last is None:
            sentence = _("None of the dates of this schedule is on or after its start, %(first)s.")
            return sentence % {"first": self.first.isoformat()}
        span = {"first": self.first.isoformat(), "last": self.last.isoformat()}
        return (
            _("None of the dates of this schedule is from %(first)s to %(last)s, its start and end.") % span
        )


ScheduleWarning = NeverDue | CloserThanUsual


def warnings_of(schedule: Schedule, *, now: datetime) -> list[ScheduleWarning]:
    """The warnings about the rule of a schedule, whether or not it is active. As-needed ones have none."""
    rule, zone = rule_of(schedule), zone_of(schedule)
    if isinstance(rule.cycle, AsNeeded):
        return []
    if next(occurrences(rule, zone=zone, since=now), None) is None:
        return [NeverDue(rule.start_date, rule.end_date, _was_due(rule, zone))]
    latest = DoseLog.objects.filter(schedule=schedule, due_at__lte=now, withdrawn_at=None)
    last = latest.order_by("-due_at").first()
    usual = rule.cycle.usual_gap()
    if last is None or last.due_at is None or usual is None:
        return []
    coming = _next_dose(schedule, rule, zone, last=last, now=now)
    if coming is None or coming.due_at - last.due_at >= usual:
        return []
    return [CloserThanUsual(coming.log_date, coming.due_at, last.due_at, usual)]


def _was_due(rule: Rule, zone: ZoneInfo) -> bool:
    # A day earlier, because a time in the gap of a clock change is due on another date.
    since = due_instant(rule.start_date, time.min, zone) - timedelta(days=1)
    return next(occurrences(rule, zone=zone, since=since), None) is not None


def _next_dose(
    schedule: Schedule, rule: Rule, zone: ZoneInfo, *, last: DoseLog, now: datetime
) -> Occurrence | None:
    for occurrence in occurrences(rule, zone=zone, since=now):
        # The dose that was due last stays where it was, though its date now has a later time.
        if dose_id(schedule.id, occurrence.log_date, occurrence.ordinal) != last.id:
            return occurrence
    return None
