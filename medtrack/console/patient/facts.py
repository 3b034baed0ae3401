"""What one patient's page shows besides the timeline: queries and their results, without words.

Each part is read by a fixed number of queries that use an index.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Max, Q
from django.db.models.functions import Least

from dosing.adherence import Figures, GroupBy, Line, Streaks, periods
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.reports import report
from dosing.status import DoseStatus
from medications.models import Medication
from medtrack.database.ids import first_id
from notifications.models import DeviceToken, PushDelivery
from users.models import Session, User

DAYS = 90
WEEKS = 13
# How far ahead the next doses are shown.
COMING = timedelta(hours=48)
# How far back failed pushes are counted, and how far back the last accepted one is looked for.
FAILED_WITHIN, ACCEPTED_WITHIN = timedelta(days=7), timedelta(days=30)
# The page shows at most so many rows of a kind.
MAX_ROWS = 100
_NO_PUSHES: dict[str, Any] = {"failed_count": 0, "last_accepted_at": None, "last_arrived_at": None}


@dataclass(frozen=True)
class PatientAdherence:
    """Over the last 90 local days, today included; `week` and `month` are whole days and end yesterday."""

    first: date
    last: date
    days: Mapping[date, Figures]
    weeks: list[Line]
    total: Figures
    week: Figures
    month: Figures
    streaks: Streaks | None


@dataclass(frozen=True)
class Treatment:
    """A medication with its schedules. Those that differ only in the time of day are in one group."""

    medication: Medication
    groups: list[list[Schedule]]


@dataclass(frozen=True)
class PatientDevice:
    token: DeviceToken
    failed_count: int
    last_accepted_at: datetime | None
    last_arrived_at: datetime | None


def zone_of(user: User) -> ZoneInfo:
    # UTC for a damaged zone: support needs the page of such a patient.
    try:
        return user.zone
    except (LookupError, OSError, ValueError):
        return ZoneInfo("UTC")


def adherence_of(user: User, *, zone: ZoneInfo, now: datetime) -> PatientAdherence:
    last = now.astimezone(zone).date()
    first = last - timedelta(days=DAYS - 1)
    by_day = report(user, first, last, group_by=GroupBy.DAY, now=now)
    days = {line.period.start: line.figures for line in by_day.results if line.period}
    # The last thirteen weeks, the current one included.
    weeks = list(periods(GroupBy.WEEK, first, last, week_start=user.week_start))[-WEEKS:]
    yesterday = last - timedelta(days=1)
    return PatientAdherence(
        first=first,
        last=last,
        days=days,
        weeks=[Line(_total(days, week.start, week.end), week) for week in weeks],
        total=by_day.total.figures,
        week=_total(days, last - timedelta(days=7), yesterday),
        month=_total(days, last - timedelta(days=30), yesterday),
        streaks=by_day.total.streaks,
    )


def dates(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _total(days: Mapping[date, Figures], first: date, last: date) -> Figures:
    return sum((days.get(day, Figures()) for day in dates(first, last)), Figures())


def last_answer_at(user: User, *, now: datetime) -> datetime | None:
    """Returns when a dose of the last 90 days was last answered; older answers are not looked for."""
    recent = DoseEvent.objects.filter(
        dose__user=user, dose__log_date__gte=(now - timedelta(days=DAYS)).date()
    )
    # The earlier of both: a phone that was offline reports late, and a fast clock reports the future.
    latest: datetime | None = recent.aggregate(at=Max(Least("occurred_at", "recorded_at")))["at"]
    return latest


def next_doses(user: User, *, now: datetime) -> list[DoseLog]:
    """Returns the planned doses of the next 48 hours."""
    coming = DoseLog.objects.visible_to(user).filter(
        due_at__gt=now,
        due_at__lte=now + COMING,
        # The index has dates, which are at most two days away from `due_at`.
        log_date__range=((now - timedelta(days=2)).date(), (now + COMING + timedelta(days=2)).date()),
        status=DoseStatus.PENDING,
        answer_by__isnull=False,
    )
    notes = ("note", "skip_reason", "medication__memo")
    return list(coming.defer(*notes).order_by("due_at", "id")[:MAX_ROWS])


def treatments_of(user: User, *, reads_notes: bool) -> list[Treatment]:
    """Returns all medications that are not deleted, those in use first."""
    medications = Medication.objects.visible_to(user).order_by(
        "-is_active", F("paused_at").asc(nulls_first=True), "name", "id"
    )
    # Not even read from the database: what is not loaded cannot be shown by mistake.
    if not reads_notes:
        medications = medications.defer("memo")
    schedules = Schedule.objects.filter(medication__in=Medication.objects.visible_to(user), deleted_at=None)
    of_medication: dict[UUID, list[Schedule]] = {}
    for schedule in schedules.order_by("scheduled_time", "id"):
        of_medication.setdefault(schedule.medication_id, []).append(schedule)
    treatments = []
    for medication in medications:
        # Sorted by the rule, because `groupby` joins neighbours only. The sort is stable, so that each group
        # keeps the order by time of day.
        by_rule = groupby(sorted(of_medication.get(medication.id, ()), key=_rule), key=_rule)
        groups = [list(group) for _key, group in by_rule]
        groups.sort(key=_place)
        treatments.append(Treatment(medication, groups))
    return treatments


def _place(group: list[Schedule]) -> tuple[bool, time, UUID]:
    """Active ones first, by time of day; as-needed ones, which have none, at the end of the day."""
    schedule = group[0]
    return not schedule.is_active, schedule.scheduled_time or time.max, schedule.id


def _rule(schedule: Schedule) -> tuple[str, ...]:
    """Everything that the page shows of a schedule but its time of day."""
    rule = (schedule.cycle_type, schedule.cycle_value, schedule.quantity, schedule.meal_relation)
    span = (schedule.start_date, schedule.end_date, schedule.is_active, schedule.reminder_enabled)
    return tuple(map(str, (*rule, *span, schedule.plan_error)))


def devices_of(user: User, *, now: datetime) -> list[PatientDevice]:
    """Returns the devices, those that are not revoked first."""
    tokens = list(
        DeviceToken.objects.visible_to(user)
        .select_related("session")
        .defer("token")
        .order_by(F("revoked_at").desc(nulls_first=True), "-last_seen_at", "id")[:MAX_ROWS]
    )
    # Ids are in order of time, so that the primary key finds recent deliveries.
    recent = PushDelivery.objects.filter(
        device__in=[token.id for token in tokens], id__gte=first_id(now - ACCEPTED_WITHIN)
    )
    failed = Q(outcome=PushDelivery.Outcome.DEAD, id__gte=first_id(now - FAILED_WITHIN))
    rows = recent.values("device_id").annotate(
        failed_count=Count("id", filter=failed),
        last_accepted_at=Max("answered_at", filter=Q(outcome=PushDelivery.Outcome.ACCEPTED)),
        last_arrived_at=Max("arrived_at"),
    )
    pushes = {row["device_id"]: {name: dict(row)[name] for name in _NO_PUSHES} for row in rows}
    # A device without recent deliveries has no row.
    return [PatientDevice(token, **pushes.get(token.id, _NO_PUSHES)) for token in tokens]


def living_sessions(user: User, *, now: datetime) -> list[Session]:
    return list(Session.objects.visible_to(user, now=now).order_by("-last_used_at", "id")[:MAX_ROWS])
