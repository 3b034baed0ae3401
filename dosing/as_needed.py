"""Checks intakes against the limits of their medication, which `dosing.limits` defines.

Checking an intake reads a bounded number of index entries, however many intakes there are: a phone may send
hundreds.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict, cast
from uuid import UUID

from django.conf import settings
from django.db.models import Count, DecimalField, IntegerField, Max, Min, OuterRef, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce
from django.utils.translation import gettext_lazy as _

from dosing.cycle_values import parse_cycle
from dosing.cycles import AsNeeded
from dosing.limits import WINDOW, Intakes, Limit, Taken
from dosing.models import DoseLog, Schedule
from dosing.querysets import ScheduleQuerySet
from dosing.status import DoseStatus
from medications.models import Medication
from medtrack.database.statements import Statement
from medtrack.http.problems import Conflict
from users.actions import lock_user
from users.models import User

# How many intakes before and after an instant are read at most.
MOST = 300
# Further than any intake can be after another one.
FAR = timedelta(days=1000)

_SQL = Path(__file__).parent / "sql"
_TAKEN = Statement.of(_SQL / "intake_limits.sql", prepared=True)
_LAST_TAKEN = Statement.of(_SQL / "last_intake.sql", prepared=True)


class IntakeTooSoon(Conflict):
    """The gap of an as-needed schedule has not passed since a dose of the medication: `next_allowed_at` says
    when it will have.
    """

    default_detail = _("It is too soon after another intake.")
    default_code = "intake_too_soon"


class DailyLimitReached(Conflict):
    """The maximum of 24 hours was taken: `next_allowed_at` says when the next intake is allowed, if ever."""

    default_detail = _("The maximum for 24 hours has been taken.")
    default_code = "daily_limit_reached"


class Window(TypedDict):
    """What was taken of a medication in the last 24 hours."""

    count: int
    quantity: Decimal


class NextAllowed(TypedDict):
    """Whether an intake is allowed now, and when the next one is; None if that much never is."""

    allowed: bool
    next_allowed_at: datetime | None
    taken_24h: Window


def check_limits(
    medication: Medication,
    at: datetime,
    *,
    quantity: Decimal,
    override: bool,
    schedule: Schedule | None = None,
    exclude: DoseLog | None = None,
) -> str:
    """Checks an intake at this instant. Returns the name of the limit that `override` let it exceed, or "".

    The limits are those of the schedule, or the strictest of the medication's as-needed schedules.
    Raises Http404, and IntakeTooSoon or DailyLimitReached with `next_allowed_at`.
    """
    # Two intakes at once wait for each other here, so that the second one is checked against the first.
    lock_user(medication.user_id)
    limits = _of(schedule) if schedule else strictest(medication)
    if not limits.has_any:
        return ""
    near = _near(medication, limits, at, exclude=exclude)
    if (exceeded := near.exceeded(at, quantity)) is None:
        return ""
    error = IntakeTooSoon if exceeded is Limit.GAP else DailyLimitReached
    if override:
        return error.__name__
    raise error(next_allowed_at=_next_allowed_at(medication, limits, at, quantity, exclude=exclude))


def next_allowed(medication: Medication, *, quantity: Decimal, now: datetime) -> NextAllowed:
    """Says whether an intake at `now` exceeds a limit, and when the next is allowed, without recording one."""
    limits = strictest(medication)
    at = _next_allowed_at(medication, limits, now, quantity)
    taken = DoseLog.objects.filter(medication=medication, taken_at__gt=now - WINDOW, taken_at__lte=now)
    amounts = taken.aggregate(
        count=Count("id"), quantity=Coalesce(Sum(Coalesce("taken_quantity", "quantity")), Decimal(0))
    )
    return {"allowed": at == now, "next_allowed_at": at, "taken_24h": cast("Window", amounts)}


def has_limits(medication_id: UUID) -> bool:
    """Whether the medication has limits, which a planned dose of it must keep, too."""
    return strictest(medication_id).has_any


def _near(medication: Medication, limits: AsNeeded, at: datetime, *, exclude: DoseLog | None) -> Intakes:
    """The intakes that decide whether one at this instant exceeds a limit."""
    reach = max(WINDOW, limits.min_gap or WINDOW)
    # Of a gap the nearest intake decides, of a number in a window as many as are allowed.
    most = MOST if limits.max_quantity_per_day is not None else limits.max_per_day or 1
    rows = _TAKEN.rows(
        medication_id=medication.id,
        exclude=exclude and exclude.id,
        at=at,
        reach=reach,
        until=at + reach,
        most=most,
    )
    return Intakes([Taken(*row) for row in rows], limits)


def _next_allowed_at(
    medication: Medication,
    limits: AsNeeded,
    at: datetime,
    quantity: Decimal,
    *,
    exclude: DoseLog | None = None,
) -> datetime | None:
    """The first instant at which an intake exceeds no limit.

    After more than `MOST` intakes it is the first such instant after the last one of all.
    """
    excluded = exclude and exclude.id
    reach = max(WINDOW, limits.min_gap or WINDOW)
    rows = _TAKEN.rows(
        medication_id=medication.id, exclude=excluded, at=at, reach=reach, until=at + FAR, most=MOST
    )
    found = Intakes([Taken(*row) for row in rows], limits).next_allowed_at(at, quantity)
    if len(rows) < MOST or found is None:
        return found
    ((last,),) = _LAST_TAKEN.rows(medication_id=medication.id, exclude=excluded)
    after: datetime = last + reach
    return max(at, after)


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


def as_needed_schedules(medication: Medication | UUID | OuterRef) -> ScheduleQuerySet:
    """The medication's active as-needed schedules, whose limits apply."""
    active = Schedule.objects.filter(medication=medication, deleted_at=None, is_active=True)
    return active.filter(cycle_type=Schedule.CycleType.AS_NEEDED)


def usual_quantity(medication: Medication) -> Decimal:
    """The quantity of its first as-needed schedule, or 1."""
    first = as_needed_schedules(medication).order_by("id").values_list("quantity", flat=True).first()
    return Decimal(1) if first is None else first


def strictest(medication: Medication | UUID) -> AsNeeded:
    """Of each limit the strictest of the medication's as-needed schedules."""
    limits = as_needed_schedules(medication).aggregate(
        gap=Max(_value("min_gap_minutes", IntegerField())),
        most=Min(_value("max_per_day", IntegerField())),
        quantity=Min(_value("max_quantity_per_day", DecimalField(max_digits=9, decimal_places=3))),
    )
    gap = limits["gap"]
    return AsNeeded(None if gap is None else timedelta(minutes=gap), limits["most"], limits["quantity"])


def _of(schedule: Schedule) -> AsNeeded:
    cycle = parse_cycle(schedule.cycle_type, schedule.cycle_value)
    return cycle if isinstance(cycle, AsNeeded) else AsNeeded(None, None)


def _value(key: str, field: IntegerField[Any, Any] | DecimalField[Any, Any]) -> Cast:
    return Cast(KeyTextTransform(key, "cycle_value"), field)
