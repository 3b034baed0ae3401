"""What one patient's page tells beside the timeline, each part read by a fixed number of queries along a key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Max, Q
from django.db.models.functions import Least
from django.utils.translation import gettext as _

from dosing.adherence import Figures, GroupBy, Line, Streaks
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.planning import RULE_ERRORS, rule_of
from dosing.reports import report
from dosing.status import DoseStatus
from medications.models import Medication
from medtrack.console.patient import adherence_charts
from medtrack.console.patient.adherence_charts import DAYS, HeatMap, WeeklyLine
from medtrack.console.patient.schedule_words import amount, clock, day_in_words, in_words
from medtrack.database.ids import first_id
from notifications.explanations import REASONS
from notifications.models import DeviceToken, PushDelivery
from users.models import Session, User

COMING = timedelta(hours=48)
# Of pushes: how far back their deliveries are counted, and how far back an accepted one is looked for.
FAILING_WITHIN, HEARD_WITHIN = timedelta(days=7), timedelta(days=30)
# More than these a page does not show at once.
MANY = 100


@dataclass(frozen=True)
class Adherence:
    """Over the last 90 local days, today included; `week` and `month` are of whole days and end yesterday."""

    first: date
    last: date
    days: Mapping[date, Figures]
    weeks: list[Line]
    total: Figures
    week: Figures
    month: Figures
    streaks: Streaks | None
    heat_map: HeatMap
    line: WeeklyLine


@dataclass(frozen=True)
class Intake:
    """Schedules of one medicine that differ in nothing but the time of day."""

    words: str
    details: list[str]
    state: str
    plan_error: str


@dataclass(frozen=True)
class Treatment:
    medication: Medication
    intakes: list[Intake]
    state: str


@dataclass(frozen=True)
class Device:
    token: DeviceToken
    state: str
    why: str
    failed: int
    last_accepted_at: datetime | None
    last_arrived_at: datetime | None


def zone_of(user: User) -> ZoneInfo:
    """UTC for a zone that no check of ours let in: the page of somebody like that is what support needs."""
    try:
        return user.zone
    except (LookupError, OSError, ValueError):
        return ZoneInfo("UTC")


def adherence_of(user: User, *, zone: ZoneInfo, now: datetime) -> Adherence:
    last = now.astimezone(zone).date()
    first = last - timedelta(days=DAYS - 1)
    told = report(user, first, last, group_by=GroupBy.DAY, now=now)
    days = {line.period.start: line.figures for line in told.results if line.period}
    week_start = user.week_start
    weeks = adherence_charts.weeks(days, first=first, last=last, week_start=week_start)
    yesterday = last - timedelta(days=1)
    return Adherence(
        first=first,
        last=last,
        days=days,
        weeks=weeks,
        total=told.total.figures,
        week=adherence_charts.total(days, last - timedelta(days=7), yesterday),
        month=adherence_charts.total(days, last - timedelta(days=30), yesterday),
        streaks=told.total.streaks,
        heat_map=adherence_charts.heat_map(days, first=first, last=last, week_start=week_start),
        line=adherence_charts.weekly_line(weeks),
    )


def last_answer_at(user: User, *, now: datetime) -> datetime | None:
    """To a dose of the last 90 days; what is older is no news."""
    lately = DoseEvent.objects.filter(
        dose__user=user, dose__log_date__gte=(now - timedelta(days=DAYS)).date()
    )
    latest: datetime | None = lately.aggregate(at=Max(Least("occurred_at", "recorded_at")))["at"]
    return latest


def next_doses(user: User, *, now: datetime) -> list[DoseLog]:
    """The planned ones of the coming 48 hours. The dates are what the index knows."""
    coming = DoseLog.objects.visible_to(user).filter(
        due_at__gt=now,
        due_at__lte=now + COMING,
        log_date__range=((now - timedelta(days=2)).date(), (now + COMING + timedelta(days=2)).date()),
        status=DoseStatus.PENDING,
        answer_by__isnull=False,
    )
    written = ("note", "skip_reason", "medication__memo")
    return list(coming.defer(*written).order_by("due_at", "id")[:MANY])


def treatments_of(user: User, *, today: date, reads_notes: bool) -> list[Treatment]:
    """All medicines that were not deleted, those in use first."""
    medications = Medication.objects.visible_to(user).order_by(
        "-is_active", F("paused_at").asc(nulls_first=True), "name", "id"
    )
    if not reads_notes:
        medications = medications.defer("memo")
    schedules: dict[UUID, list[Schedule]] = {}
    living = Schedule.objects.filter(medication__in=Medication.objects.visible_to(user), deleted_at=None)
    for schedule in living.order_by("scheduled_time", "id"):
        schedules.setdefault(schedule.medication_id, []).append(schedule)
    return [
        Treatment(
            medication, _intakes(medication, schedules.get(medication.id, ()), today), _state(medication)
        )
        for medication in medications
    ]


def devices_of(user: User, *, now: datetime) -> list[Device]:
    """Those that pushes go to first."""
    found = DeviceToken.objects.visible_to(user).select_related("session").defer("token")
    tokens = list(found.order_by(F("revoked_at").desc(nulls_first=True), "-last_seen_at", "id")[:MANY])
    heard = _heard([token.id for token in tokens], now)
    return [_device(token, heard.get(token.id, {})) for token in tokens]


def living_sessions(user: User, *, now: datetime) -> list[Session]:
    return list(Session.objects.visible_to(user, now=now).order_by("-last_used_at", "id")[:MANY])


def name_of(token: DeviceToken) -> str:
    """As the person would call it: the app says which phone it is on when somebody signs in."""
    session = token.session
    name = session.device_name if session else ""
    return f"{token.get_platform_display()} {name or token.app_version}".strip()


def quantity_of(dose: DoseLog) -> str:
    return amount(dose.actual_quantity, unit_of(dose.medication))


def unit_of(medication: Medication) -> str:
    return medication.unit or str(medication.get_form_display())


def _intakes(medication: Medication, schedules: Iterable[Schedule], today: date) -> list[Intake]:
    def alike(schedule: Schedule) -> tuple[str, ...]:
        rule = (schedule.cycle_type, schedule.cycle_value, schedule.quantity, schedule.meal_relation)
        span = (schedule.start_date, schedule.end_date, schedule.is_active, schedule.reminder_enabled)
        return tuple(map(str, (*rule, *span, schedule.plan_error)))

    groups = groupby(sorted(schedules, key=alike), key=alike)
    intakes = [(list(group)) for _key, group in groups]
    intakes.sort(key=lambda group: (not group[0].is_active, group[0].scheduled_time, group[0].id))
    return [_intake(medication, group, today) for group in intakes]


def _intake(medication: Medication, group: Sequence[Schedule], today: date) -> Intake:
    schedule = group[0]
    unit = unit_of(medication)
    try:
        words = in_words(rule_of(schedule).cycle, [one.scheduled_time for one in group], unit=unit)
    except RULE_ERRORS:  # damaged: what planning says of it stands beside
        words = f"{schedule.get_cycle_type_display()} {clock(schedule.scheduled_time)}"
    details = [] if schedule.cycle_type == Schedule.CycleType.TAPER else [amount(schedule.quantity, unit)]
    if schedule.meal_relation != Schedule.MealRelation.ANY:
        details.append(str(schedule.get_meal_relation_display()))
    details.append(_period(schedule))
    if not schedule.reminder_enabled and schedule.cycle_type != Schedule.CycleType.AS_NEEDED:
        details.append(_("reminders off"))
    return Intake(words, details, _schedule_state(schedule, today), schedule.plan_error)


def _period(schedule: Schedule) -> str:
    said = {"first": day_in_words(schedule.start_date)}
    if schedule.end_date is None:
        return _("since %(first)s") % said
    return _("%(first)s to %(last)s") % (said | {"last": day_in_words(schedule.end_date)})


def _schedule_state(schedule: Schedule, today: date) -> str:
    if not schedule.is_active:
        return _("ended")
    if schedule.end_date is not None and schedule.end_date < today:
        return _("over")
    return _("to come") if schedule.start_date > today else ""


def _state(medication: Medication) -> str:
    if not medication.is_active:
        return _("ended")
    return _("paused") if medication.paused_at else ""


def _device(token: DeviceToken, heard: Mapping[str, Any]) -> Device:
    if token.revoked_at is not None:
        state = _("revoked")
    elif not token.is_signed_in:
        state = _("signed out")
    elif token.suspect_since is not None:
        state = _("not accepted by FCM")
    else:
        state = _("silent") if token.silent_since else _("reachable")
    return Device(
        token=token,
        state=state,
        why=str(REASONS.get(token.revoke_reason, token.revoke_reason)),
        failed=heard.get("failed", 0),
        last_accepted_at=heard.get("last_accepted_at"),
        last_arrived_at=heard.get("last_arrived_at"),
    )


def _heard(device_ids: Sequence[UUID], now: datetime) -> dict[UUID, dict[str, Any]]:
    """By device, of its deliveries since 30 days: ids are made in order of time."""
    lately = PushDelivery.objects.filter(device__in=device_ids, id__gte=first_id(now - HEARD_WITHIN))
    accepted = Q(outcome=PushDelivery.Outcome.ACCEPTED)
    rows = lately.values("device_id").annotate(
        failed=Count(
            "id", filter=Q(outcome=PushDelivery.Outcome.DEAD) & Q(id__gte=first_id(now - FAILING_WITHIN))
        ),
        last_accepted_at=Max("answered_at", filter=accepted),
        last_arrived_at=Max("arrived_at"),
    )
    return {row["device_id"]: dict(row) for row in rows}
