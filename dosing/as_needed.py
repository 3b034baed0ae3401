"""The limits of as-needed medications: a least gap between intakes, and a maximum per local day.

Checking an intake reads a bounded number of index entries, however many intakes there are: a phone may send
hundreds.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import IntegerField, Max, Min
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from dosing.cycle_values import parse_cycle
from dosing.cycles import AsNeeded, due_instant
from dosing.models import DoseLog, Schedule
from dosing.querysets import ScheduleQuerySet
from dosing.status import DoseStatus
from medications.models import Medication
from medtrack.database.statements import Statement
from medtrack.http.problems import Conflict
from users.actions import lock_user
from users.models import User

# How many intakes in a row `next_allowed_at` passes one by one before it goes to the last one.
MAX_ROUNDS = 16

_SQL = Path(__file__).parent / "sql"
_INTAKE_LIMITS = Statement.of(_SQL / "intake_limits.sql", prepared=True)
_LAST_INTAKE = Statement.of(_SQL / "last_intake.sql", prepared=True)


class IntakeTooSoon(Conflict):
    """The gap of an as-needed schedule has not passed: `next_allowed_at` says when it will have."""

    default_detail = _("It is too soon after another intake.")
    default_code = "intake_too_soon"


class DailyLimitReached(Conflict):
    """The daily maximum of an as-needed schedule was taken: `next_allowed_at` says when the next is allowed."""

    default_detail = _("The maximum for one day has been taken.")
    default_code = "daily_limit_reached"


@dataclass(frozen=True)
class Intakes:
    """The intakes of a medication, except for the dose `exclude`, and the limits of another one.

    Days are local dates in `zone`. Intakes later than the one that is checked count like earlier ones.
    """

    medication_id: UUID
    limits: AsNeeded
    zone: ZoneInfo
    exclude: UUID | None = None

    def exceeded_limit(self, at: datetime) -> tuple[type[Conflict], datetime] | None:
        """Returns the limit that an intake at this instant exceeds, and the instant from which it no longer
        does.
        """
        day = at.astimezone(self.zone).date()
        midnight = due_instant(day, time(), self.zone)
        # From the date, not 24 hours later: on a day with a clock change midnight is 23 or 25 hours away.
        next_midnight = due_instant(day + timedelta(days=1), time(), self.zone)
        gap, max_per_day = self._gap, self.limits.max_per_day
        ((count, latest_near),) = _INTAKE_LIMITS.rows(
            medication_id=self.medication_id,
            exclude=self.exclude,
            midnight=midnight,
            next_midnight=next_midnight,
            # Without a maximum there is nothing to count, and 0 reads no entry.
            max_per_day=max_per_day or 0,
            after=at - gap,
            before=at + gap,
        )
        # Of two exceeded limits either may be named: `next_allowed_at` goes on until none is left.
        if max_per_day is not None and count >= max_per_day:
            return DailyLimitReached, next_midnight
        if latest_near is not None:
            return IntakeTooSoon, latest_near + gap
        return None

    def next_allowed_at(self, at: datetime) -> datetime:
        """The first instant, not before `at`, at which an intake exceeds no limit.

        If that takes more than `MAX_ROUNDS` intakes, it is the first such instant after the last intake of
        all.
        """
        for _round in range(MAX_ROUNDS):
            if (exceeded := self.exceeded_limit(at)) is None:
                return at
            at = exceeded[1]
        for (last,) in _LAST_INTAKE.rows(medication_id=self.medication_id, exclude=self.exclude):
            at = max(at, last + self._gap)
        exceeded = self.exceeded_limit(at)
        return exceeded[1] if exceeded else at

    @property
    def _gap(self) -> timedelta:
        return self.limits.min_gap or timedelta(0)


def check_limits(
    medication: Medication,
    at: datetime,
    *,
    override: bool,
    schedule: Schedule | None = None,
    exclude: DoseLog | None = None,
) -> str:
    """Checks an intake at this instant. Returns the name of the limit that `override` let it exceed, or "".

    The limits are those of the schedule, or the strictest of the medication's as-needed schedules.
    Raises Http404, and IntakeTooSoon or DailyLimitReached with `next_allowed_at`.
    """
    # Two intakes at once wait for each other here, so that the second one is checked against the first.
    zone = lock_user(medication.user_id).zone
    if schedule:
        cycle = parse_cycle(schedule.cycle_type, schedule.cycle_value)
        limits = cycle if isinstance(cycle, AsNeeded) else AsNeeded(None, None)
    else:
        limits = _strictest(medication)
    intakes = Intakes(medication.id, limits, zone, exclude.id if exclude else None)
    if (exceeded := intakes.exceeded_limit(at)) is None:
        return ""
    error, until = exceeded
    if override:
        return error.__name__
    raise error(next_allowed_at=intakes.next_allowed_at(until))


def is_over_limit(user: User, at: datetime, *, exclude: DoseLog | None = None) -> bool:
    """Whether the user's local day already has as many intakes, of all medications, as are expected of a day.

    Such an intake is recorded all the same: what was taken must not be lost.
    """
    others = DoseLog.objects.filter(
        user=user,
        log_date=at.astimezone(user.zone).date(),
        schedule=None,
        status=DoseStatus.TAKEN,
    )
    if exclude:
        others = others.exclude(id=exclude.id)
    limit = settings.LIMITS.intakes_a_day
    return others.order_by()[:limit].count() >= limit


def as_needed_schedules(medication: Medication) -> ScheduleQuerySet:
    """The medication's active as-needed schedules, whose limits apply."""
    active = Schedule.objects.filter(medication=medication, deleted_at=None, is_active=True)
    return active.filter(cycle_type=Schedule.CycleType.AS_NEEDED)


def _strictest(medication: Medication) -> AsNeeded:
    strictest = as_needed_schedules(medication).aggregate(
        gap=Max(_number("min_gap_minutes")), most=Min(_number("max_per_day"))
    )
    gap = strictest["gap"]
    return AsNeeded(None if gap is None else timedelta(minutes=gap), strictest["most"])


def _number(key: str) -> Cast:
    return Cast(KeyTextTransform(key, "cycle_value"), IntegerField())
