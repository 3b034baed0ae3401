"""How often an as-needed medicine may be taken: at least a gap apart, and only so many times a local day."""

from collections.abc import Collection
from datetime import datetime, time, timedelta
from enum import Enum, auto
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _

from dosing.cycle_values import parse_cycle
from dosing.cycles import AsNeeded, due_instant
from dosing.models import DoseLog, Schedule
from dosing.status import DoseStatus
from medications.models import Medication
from medtrack.common.problems import Conflict
from users.actions import take_turn

# Longer than the longest gap and the longest local day.
LOOK_BACK = timedelta(days=8)


class IntakeTooSoon(Conflict):
    """The gap of an as-needed schedule has not passed: `next_allowed_at` says when it will have."""

    default_detail = _("It is too soon after another intake.")
    default_code = "intake_too_soon"


class DailyLimitReached(Conflict):
    """The day's most of an as-needed schedule was taken: `next_allowed_at` says when the next is allowed."""

    default_detail = _("The most for one day has been taken.")
    default_code = "daily_limit_reached"


class Limit(Enum):
    GAP = auto()
    DAILY = auto()


def obstacle(
    limits: AsNeeded, taken: Collection[datetime], at: datetime, zone: ZoneInfo
) -> tuple[Limit, datetime] | None:
    """The limit that an intake at the instant `at` would break, and the instant from which on it no longer does.

    `taken` are the other intakes, earlier and later ones (UTC); the day is that of `zone`.
    """
    today = at.astimezone(zone).date()
    taken_today = sum(1 for other in taken if other.astimezone(zone).date() == today)
    if limits.max_per_day is not None and taken_today >= limits.max_per_day:
        return Limit.DAILY, due_instant(today + timedelta(days=1), time(), zone)
    gap = limits.min_gap or timedelta(0)
    if near := [other for other in taken if abs(other - at) < gap]:
        return Limit.GAP, max(near) + gap
    return None


def next_allowed_at(limits: AsNeeded, taken: Collection[datetime], at: datetime, zone: ZoneInfo) -> datetime:
    """The first instant from `at` on at which an intake breaks no limit."""
    while found := obstacle(limits, taken, at, zone):
        _limit, at = found
    return at


def refuse_beyond_limits(
    medication: Medication, at: datetime, *, schedule: Schedule | None = None, besides: DoseLog | None = None
) -> None:
    """Raises IntakeTooSoon or DailyLimitReached, which tell `next_allowed_at`.

    The limits are those of the schedule, or the strictest of the medicine's as-needed schedules. Two intakes at
    once take turns: the second one sees the first.
    """
    zone = take_turn(medication.user_id).zone
    limits = _strictest(medication, schedule)
    intakes = DoseLog.objects.filter(medication=medication, schedule=None, status=DoseStatus.TAKEN)
    others = intakes.exclude(id=besides.id) if besides else intakes
    taken = [other.taken_at for other in others.filter(taken_at__gt=at - LOOK_BACK) if other.taken_at]
    if found := obstacle(limits, taken, at, zone):
        error = IntakeTooSoon if found[0] == Limit.GAP else DailyLimitReached
        raise error(next_allowed_at=next_allowed_at(limits, taken, at, zone))


def _strictest(medication: Medication, schedule: Schedule | None) -> AsNeeded:
    schedules = [schedule] if schedule else as_needed_schedules(medication)
    limits = [parse_cycle(one.cycle_type, one.cycle_value) for one in schedules]
    gaps = [one.min_gap for one in limits if isinstance(one, AsNeeded) and one.min_gap is not None]
    most = [one.max_per_day for one in limits if isinstance(one, AsNeeded) and one.max_per_day is not None]
    return AsNeeded(max(gaps, default=None), min(most, default=None))


def as_needed_schedules(medication: Medication) -> list[Schedule]:
    live = Schedule.objects.filter(medication=medication, deleted_at=None, is_active=True)
    return list(live.filter(cycle_type=Schedule.CycleType.AS_NEEDED).order_by("id"))
