"""A user's adherence, as `dosing.adherence` defines it. Each report is one query."""

from dataclasses import dataclass
from datetime import date, datetime

from dosing import adherence
from dosing.adherence import GroupBy, Line, PeriodLength
from dosing.models import DoseLog, Schedule
from dosing.planning import rule_of, zone_of
from dosing.upcoming import not_planned_from
from users.models import User


@dataclass(frozen=True, slots=True)
class Report:
    """The adherence of a range of local dates: in total, and by period or medication."""

    total: Line
    results: list[Line]


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a day or week: `target` is the number of all its doses, future ones included."""

    period: PeriodLength
    period_start: date
    period_end: date
    due: int
    taken: int
    target: int

    @property
    def goal_met(self) -> bool:
        return 0 < self.target <= self.taken


def report(user: User, first: date, last: date, *, group_by: GroupBy, now: datetime) -> Report:
    """Reports on the local dates from `first` to `last`, both inclusive, as of the instant `now`."""
    counted = DoseLog.objects.visible_to(user).counted(first, last, now=now)
    if group_by == GroupBy.MEDICATION:
        rows = list(counted.figures_by_medication())
        return Report(adherence.total(rows), adherence.by_medication(rows))
    rows = list(counted.figures_by("log_date"))
    periods = adherence.periods(group_by, first, last, week_start=user.week_start)
    return Report(adherence.total(rows), adherence.by_period(rows, periods))


def progress(user: User, length: PeriodLength, *, now: datetime) -> Progress:
    """The progress of the user's local day or week that contains the instant `now`."""
    today = now.astimezone(user.zone).date()
    dates = adherence.period_around(today, length, week_start=user.week_start)
    due = taken = target = 0
    for schedule in Schedule.objects.with_doses_of(user, *dates, now=now):
        due += schedule.due
        taken += schedule.taken
        target += schedule.planned
        # Its zone is read below; without this each schedule would query its user.
        schedule.medication.user = user
        if (since := not_planned_from(schedule)) is not None:
            target += adherence.not_planned_yet(
                rule_of(schedule),
                zone=zone_of(schedule),
                since=since,
                period=dates,
                planned=set(zip(schedule.planned_on or [], schedule.planned_ordinals or [], strict=True)),
            )
    return Progress(length, dates.start, dates.end, due, taken, target)
