"""How often an as-needed medicine may be taken: at least a gap apart, and only so many times a local day.

However many intakes there are, checking one reads a bounded number of index entries: a phone may send hundreds.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
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

# So many intakes in a row are passed, one by one, in search of the first instant that is allowed.
HOPS = 16
_OTHERS = """
    SELECT taken_at FROM dose_logs
    WHERE medication_id = %(medication_id)s AND schedule_id IS NULL AND status = 'taken'
      AND id IS DISTINCT FROM %(besides)s::uuid
"""
_IN_THE_WAY_SQL = f"""
    WITH others AS NOT MATERIALIZED ({_OTHERS})
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM others WHERE taken_at >= %(midnight)s AND taken_at < %(next_midnight)s LIMIT %(most)s
        ) of_day),
        (SELECT taken_at FROM others WHERE taken_at > %(after)s AND taken_at < %(before)s
         ORDER BY taken_at DESC LIMIT 1)
"""  # noqa: S608 - our own text
_IN_THE_WAY = Statement(_IN_THE_WAY_SQL, prepared=True)
_LAST = Statement(f"{_OTHERS} ORDER BY taken_at DESC LIMIT 1", prepared=True)


class IntakeTooSoon(Conflict):
    """The gap of an as-needed schedule has not passed: `next_allowed_at` says when it will have."""

    default_detail = _("It is too soon after another intake.")
    default_code = "intake_too_soon"


class DailyLimitReached(Conflict):
    """The day's most of an as-needed schedule was taken: `next_allowed_at` says when the next is allowed."""

    default_detail = _("The most for one day has been taken.")
    default_code = "daily_limit_reached"


@dataclass(frozen=True)
class Intakes:
    """The intakes of a medicine, all but `besides`, and the limits that another one must keep.

    Days are those of `zone`; intakes later than the one in question count like earlier ones.
    """

    medication_id: UUID
    limits: AsNeeded
    zone: ZoneInfo
    besides: UUID | None = None

    def obstacle(self, at: datetime) -> tuple[type[Conflict], datetime] | None:
        """The limit that an intake at this instant would break, and the instant from which on it no longer does."""
        day = at.astimezone(self.zone).date()
        midnight, next_midnight = (
            due_instant(date, time(), self.zone) for date in (day, day + timedelta(days=1))
        )
        gap, most = self._gap, self.limits.max_per_day
        ((taken_today, latest_near),) = _IN_THE_WAY.rows(
            medication_id=self.medication_id,
            besides=self.besides,
            midnight=midnight,
            next_midnight=next_midnight,
            most=most or 0,
            after=at - gap,
            before=at + gap,
        )
        if most is not None and taken_today >= most:
            return DailyLimitReached, next_midnight
        if latest_near is not None:
            return IntakeTooSoon, latest_near + gap
        return None

    def next_allowed_at(self, at: datetime) -> datetime:
        """The first instant from `at` on at which an intake breaks no limit.

        After `HOPS` obstacles in a row it is the first instant after the last intake of all.
        """
        for _hop in range(HOPS):
            if (found := self.obstacle(at)) is None:
                return at
            at = found[1]
        for (last,) in _LAST.rows(medication_id=self.medication_id, besides=self.besides):
            at = max(at, last + self._gap)
        found = self.obstacle(at)
        return found[1] if found else at

    @property
    def _gap(self) -> timedelta:
        return self.limits.min_gap or timedelta(0)


def check_limits(
    medication: Medication,
    at: datetime,
    *,
    override: bool,
    schedule: Schedule | None = None,
    besides: DoseLog | None = None,
) -> str:
    """The name of the limit that is overridden, if any.

    Raises IntakeTooSoon and DailyLimitReached, with `next_allowed_at`, unless it may be overridden.

    The limits are those of the schedule, or the strictest of the medicine's as-needed schedules. Two intakes at
    once take turns: the second one sees the first.
    """
    zone = lock_user(medication.user_id).zone
    limits = _limits_of(schedule) if schedule else _strictest(medication)
    intakes = Intakes(medication.id, limits, zone, besides.id if besides else None)
    if (found := intakes.obstacle(at)) is None:
        return ""
    error, until = found
    if override:
        return error.__name__
    raise error(next_allowed_at=intakes.next_allowed_at(until))


def is_over_limit(user: User, at: datetime, *, besides: DoseLog | None = None) -> bool:
    """Whether the person's local day has as many intakes already, of all medicines, as one is expected to have.

    Such an intake is recorded all the same, because what somebody took must not be lost.
    """
    others = DoseLog.objects.filter(
        user=user,
        log_date=at.astimezone(user.zone).date(),
        schedule=None,
        status=DoseStatus.TAKEN,
    )
    if besides:
        others = others.exclude(id=besides.id)
    most = settings.LIMITS.intakes_a_day
    return others.order_by()[:most].count() >= most


def _limits_of(schedule: Schedule) -> AsNeeded:
    cycle = parse_cycle(schedule.cycle_type, schedule.cycle_value)
    return cycle if isinstance(cycle, AsNeeded) else AsNeeded(None, None)


def _strictest(medication: Medication) -> AsNeeded:
    found = as_needed_schedules(medication).aggregate(
        gap=Max(_number("min_gap_minutes")), most=Min(_number("max_per_day"))
    )
    gap = found["gap"]
    return AsNeeded(None if gap is None else timedelta(minutes=gap), found["most"])


def _number(key: str) -> Cast:
    return Cast(KeyTextTransform(key, "cycle_value"), IntegerField())


def as_needed_schedules(medication: Medication) -> ScheduleQuerySet:
    live = Schedule.objects.filter(medication=medication, deleted_at=None, is_active=True)
    return live.filter(cycle_type=Schedule.CycleType.AS_NEEDED)
