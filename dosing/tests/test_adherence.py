"""Adherence against a recount: everything through the API, compared with loops over what was put in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from dosing.adherence import Figures, GroupBy, PeriodLength, period_around, periods, streaks
from dosing.models import DoseLog, Schedule
from dosing.tests.test_cycles import falls_on, first_instant_by_walk
from medications.models import Medication
from medtrack.database.ids import uuid7
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, person
from users.actions import Credentials
from users.models import User

HOUR = timedelta(hours=1)
ZONES = ["UTC", "Asia/Seoul", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Nuuk"]
CYCLES: list[tuple[str, Any]] = [
    ("daily", None),
    ("weekly", {"days": ["mon", "wed", "sun"]}),
    ("weekly", {"days": ["thu"], "every": 2}),
    ("interval", {"every": 2}),
    ("on_off", {"on": 3, "off": 2}),
    ("monthly", {"days": [1, 15, 31]}),
    ("as_needed", None),
]


@dataclass(frozen=True)
class Dose:
    """What a recount needs to know, as it was put in and not as it is stored."""

    medication: UUID
    schedule: UUID | None
    day: date
    due_at: datetime
    status: str
    taken_at: datetime | None = None
    is_awaited: bool = True


@dataclass
class World:
    user: User
    client: Client
    zone: ZoneInfo
    now: datetime
    medications: dict[UUID, Medication] = field(default_factory=dict)
    schedules: list[Schedule] = field(default_factory=list)
    doses: list[Dose] = field(default_factory=list)

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Lets the views read another time than it is; nothing else does."""

    def set_clock(now: datetime) -> None:
        monkeypatch.setattr("dosing.views.adherence.timezone", SimpleNamespace(now=lambda: now))

    return set_clock


def world_of(chance: Random, name: str, now: datetime) -> World:
    zone = chance.choice(ZONES)
    credentials = person(name, timezone=zone)
    User.objects.filter(id=credentials.user.id).update(week_start=chance.randint(1, 7))
    credentials.user.refresh_from_db()
    world = World(credentials.user, Client(credentials), ZoneInfo(zone), now)
    for number in range(chance.randint(1, 4)):
        add_medication(world, chance, f"Medicine {chance.randint(1, 3)} {number}")
    DoseLog.objects.bulk_create(row_of(world.user, dose) for dose in world.doses)
    return world


def add_medication(world: World, chance: Random, name: str) -> None:
    medication = medication_of(world.user, name, dosage="5 mg")
    match chance.randint(1, 6):
        case 1:
            medication.is_active, medication.deleted_at = False, world.now
        case 2:
            medication.is_active = False
        case 3:
            medication.paused_at = world.now
    medication.save()
    world.medications[medication.id] = medication
    for _ in range(chance.randint(1, 3)):
        add_schedule(world, chance, medication)
    for _ in range(chance.randint(0, 5)):  # as-needed intakes
        day = world.today - timedelta(days=chance.randint(0, 40))
        world.doses.append(Dose(medication.id, None, day, world.now, "taken", world.now))


def add_schedule(world: World, chance: Random, medication: Medication) -> None:
    cycle_type, value = chance.choice(CYCLES)
    start = world.today - timedelta(days=chance.choice([0, 5, 60, 400]))
    is_deleted = chance.random() < 0.15
    schedule = Schedule.objects.create(
        medication=medication,
        scheduled_time=time(chance.randint(0, 23), chance.choice([0, 30])),
        cycle_type=cycle_type,
        cycle_value=value,
        start_date=start,
        end_date=chance.choice([None, None, max(start, world.today + timedelta(days=chance.randint(-3, 5)))]),
        is_active=not is_deleted and chance.random() < 0.85,
        deleted_at=world.now if is_deleted else None,
        plan_error="InvalidCycle: days" if chance.random() < 0.1 else "",
        next_due_at=chance.choice([None, *(world.now + n * HOUR for n in (-200, -30, 0, 10, 36, 60, 120))]),
    )
    world.schedules.append(schedule)
    eager = chance.random()
    days = {world.today - timedelta(days=n) for n in range(-4, 14)} | {
        world.today - timedelta(days=chance.randint(0, 420)) for _ in range(25)
    }
    for day in days:
        if chance.random() < 0.6:
            due_at = first_instant_by_walk(day, schedule.scheduled_time, world.zone)
            world.doses.append(dose_of(chance, schedule, day, due_at, eager))


def dose_of(chance: Random, schedule: Schedule, day: date, due_at: datetime, eager: float) -> Dose:
    status = "taken" if chance.random() < eager else chance.choice(["taken", "skipped", "missed", "pending"])
    minutes = chance.choice([-61, -60, -1, 0, 30, 60, 61, 600])
    second = timedelta(seconds=chance.choice([0, 0, 1]))
    return Dose(
        schedule.medication_id,
        schedule.id,
        day,
        due_at,
        status,
        due_at + timedelta(minutes=minutes) + second if status == "taken" else None,
        chance.random() < 0.7,
    )


def row_of(user: User, dose: Dose) -> DoseLog:
    planned = dose.schedule is not None
    return DoseLog(
        id=uuid7(),
        user=user,
        medication_id=dose.medication,
        schedule_id=dose.schedule,
        log_date=dose.day,
        scheduled_time=time(8) if planned else None,
        due_at=dose.due_at if planned else None,
        answer_by=dose.due_at + 4 * HOUR if planned and dose.is_awaited else None,
        quantity=Decimal(1),
        status=dose.status,
        taken_at=dose.taken_at,
        recorded_by=user if dose.status in ("taken", "skipped") else None,
    )


def counts(dose: Dose, now: datetime) -> bool:
    if dose.schedule is None:
        return False
    if dose.status == "pending":
        return dose.is_awaited and dose.due_at <= now
    return True


def recount(doses: Iterable[Dose], now: datetime) -> dict[str, Any]:
    counted = [dose for dose in doses if counts(dose, now)]
    taken = [dose for dose in counted if dose.status == "taken"]
    on_time = [dose for dose in taken if dose.taken_at and abs(dose.taken_at - dose.due_at) <= HOUR]
    return {
        "due": len(counted),
        "taken": len(taken),
        "skipped": sum(dose.status == "skipped" for dose in counted),
        "missed": sum(dose.status == "missed" for dose in counted),
        "on_time": len(on_time),
        "rate": round(len(taken) / len(counted), 4) if counted else None,
        "on_time_rate": round(len(on_time) / len(taken), 4) if taken else None,
    }


def restreak(doses: Iterable[Dose], now: datetime, days: list[date]) -> dict[str, int]:
    """Reads a word of one letter a day: complete, broken or neither."""
    by_day: dict[date, set[str]] = {day: set() for day in days}
    for dose in doses:
        if counts(dose, now):
            by_day[dose.day].add(dose.status)
    word = ""
    for day in days:
        if by_day[day] & {"skipped", "missed"}:
            word += "b"
        elif by_day[day] == {"taken"}:
            word += "c"
    runs = [len(run) for run in word.split("b")]
    return {"current_streak": runs[-1], "longest_streak": max(runs)}


def expected_results(
    world: World, group_by: str, doses: list[Dose], days: list[date]
) -> list[dict[str, Any]]:
    if group_by == "medication":
        used = {dose.medication for dose in doses if counts(dose, world.now)}
        medicines = sorted((world.medications[id] for id in used), key=lambda found: (found.name, found.id))
        return [
            {"period_start": None, "period_end": None}
            | {"medication": {"id": str(m.id), "name": m.name, "dosage": "5 mg", "color_tag": "#1D9E75"}}
            | recount(mine := [dose for dose in doses if dose.medication == m.id], world.now)
            | restreak(mine, world.now, days)
            for m in medicines
        ]
    groups: list[list[date]] = []
    for day in days:
        is_first = {
            "day": True,
            "week": day.isoweekday() == world.user.week_start,
            "month": day.day == 1,
        }[group_by]
        if is_first or not groups:
            groups.append([])
        groups[-1].append(day)
    return [
        {"period_start": group[0].isoformat(), "period_end": group[-1].isoformat()}
        | {"medication": None, "current_streak": None, "longest_streak": None}
        | recount((dose for dose in doses if dose.day in group), world.now)
        for group in groups
    ]


def expected_current(world: World, days: list[date]) -> dict[str, Any]:
    doses = [dose for dose in world.doses if dose.day in days]
    figures = recount(doses, world.now)
    target = 0
    for dose in doses:
        target += dose.schedule is not None and (dose.status != "pending" or dose.is_awaited)
    for schedule in world.schedules:
        medication = world.medications[schedule.medication_id]
        is_on = schedule.is_active and medication.is_active and medication.paused_at is None
        for day in days:
            has_dose = any((dose.schedule, dose.day) == (schedule.id, day) for dose in doses)
            if not is_on or schedule.plan_error or schedule.next_due_at is None or has_dose:
                continue
            if day < schedule.start_date or (schedule.end_date and day > schedule.end_date):
                continue
            due_at = first_instant_by_walk(day, schedule.scheduled_time, world.zone)
            falls = falls_on(schedule.cycle_type, schedule.cycle_value, day, schedule.start_date)
            target += falls and due_at >= schedule.next_due_at
    return {
        "period_start": days[0].isoformat(),
        "period_end": days[-1].isoformat(),
        "due": figures["due"],
        "taken": figures["taken"],
        "target": target,
        "goal_met": target > 0 and figures["taken"] >= target,
    }


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.django_db
def test_adherence_is_that_of_a_recount(seed: int, at: Callable[[datetime], None]) -> None:
    chance = Random(seed)
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(700_000))
    at(now)
    world = world_of(chance, "Ana", now)
    world_of(chance, "Cleo", now)
    last = world.today + timedelta(days=chance.randint(-10, 3))
    spans = [
        ("", world.today - timedelta(days=29), world.today),
        (f"to={last}", last - timedelta(days=29), last),
        (f"from={last - timedelta(days=399)}&to={last}", last - timedelta(days=399), last),
    ]
    for query, first, last in spans:
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        doses = [dose for dose in world.doses if first <= dose.day <= last]
        for group_by in ("day", "week", "month", "medication"):
            answer = world.client.get(f"/api/v1/adherence?{query}&group_by={group_by}").json()
            assert answer == {
                "from": first.isoformat(),
                "to": last.isoformat(),
                "timezone": world.zone.key,
                "group_by": group_by,
                "total": recount(doses, now) | restreak(doses, now, days),
                "results": expected_results(world, group_by, doses, days),
            }

    first_of_week = world.today
    while first_of_week.isoweekday() != world.user.week_start:
        first_of_week -= timedelta(days=1)
    for period, days in (
        ("daily", [world.today]),
        ("weekly", [first_of_week + timedelta(days=n) for n in range(7)]),
    ):
        answer = world.client.get(f"/api/v1/adherence/current?period={period}").json()
        assert answer == {"period": period} | expected_current(world, days)


NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture
def medication(ana: Credentials, at: Callable[[datetime], None]) -> Medication:
    at(NOW)
    return medication_of(ana.user)


def put(medication: Medication, *statuses: str, **changes: Any) -> list[DoseLog]:
    """One dose a day at 08:00 UTC, the last of them today; a dot is a day without one."""
    values = {"scheduled_time": time(8), "start_date": TODAY - timedelta(days=60), "is_active": False}
    schedule = Schedule.objects.create(medication=medication, **values)
    doses = []
    for back, status in enumerate(reversed(statuses)):
        day = TODAY - timedelta(days=back)
        due_at = datetime.combine(day, time(8), tzinfo=UTC)
        dose = Dose(medication.id, schedule.id, day, due_at, status, due_at if status == "taken" else None)
        if status != ".":
            doses.append(row_of(medication.user, replace(dose, **changes)))
    return DoseLog.objects.bulk_create(doses)


def total(client: Client, query: str = "") -> dict[str, Any]:
    figures: dict[str, Any] = client.get(f"/api/v1/adherence?{query}").json()["total"]
    return figures


def current(client: Client, period: str = "daily") -> tuple[int, int, int, bool]:
    answer = client.get(f"/api/v1/adherence/current?period={period}").json()
    return answer["due"], answer["taken"], answer["target"], answer["goal_met"]


@pytest.mark.parametrize(
    ("status", "due_in", "changes", "due"),
    [
        ("taken", -1, {}, 1),
        ("skipped", -1, {}, 1),
        ("missed", -1, {}, 1),
        ("missed", -1, {"is_awaited": False}, 1),
        ("pending", 0, {}, 1),
        ("pending", 1, {}, 0),
        ("pending", -1, {"is_awaited": False}, 0),
        ("taken", 1, {}, 1),
        ("skipped", 1, {}, 1),
        ("taken", -1, {"schedule": None}, 0),
    ],
    ids=[
        "taken",
        "skipped",
        "missed",
        "missed before it was paused",
        "due now and open",
        "due in a second",
        "paused while open",
        "taken early",
        "skipped early",
        "as needed",
    ],
)
def test_what_counts_as_due(
    as_ana: Client, medication: Medication, status: str, due_in: int, changes: dict[str, Any], due: int
) -> None:
    put(medication, status, due_at=NOW + timedelta(seconds=due_in), **changes)
    assert total(as_ana)["due"] == due
    assert current(as_ana)[0] == due


@pytest.mark.parametrize(
    ("minutes", "seconds", "on_time"),
    [(-60, 0, 1), (-60, -1, 0), (0, 0, 1), (60, 0, 1), (60, 1, 0), (1000, 0, 0)],
)
def test_on_time_is_within_the_hour_before_or_after(
    as_ana: Client, medication: Medication, minutes: int, seconds: int, on_time: int
) -> None:
    due_at = NOW - timedelta(hours=2)
    late = timedelta(minutes=minutes, seconds=seconds)
    put(medication, "taken", due_at=due_at, taken_at=due_at + late)
    figures = total(as_ana)
    assert (figures["on_time"], figures["on_time_rate"]) == (on_time, float(on_time))


def test_rates_have_four_decimals_and_are_null_without_a_divisor(
    as_ana: Client, medication: Medication
) -> None:
    put(medication, "taken", "taken", "skipped")
    figures = total(as_ana)
    assert (figures["rate"], figures["on_time_rate"]) == (0.6667, 1.0)
    figures = total(as_ana, f"from={TODAY}")
    assert (figures["rate"], figures["on_time_rate"]) == (0.0, None)
    figures = total(as_ana, f"from={TODAY + timedelta(days=1)}&to={TODAY + timedelta(days=1)}")
    assert (figures["rate"], figures["on_time_rate"]) == (None, None)


@pytest.mark.parametrize(
    ("days", "current_streak", "longest_streak"),
    [
        ("ttt", 3, 3),
        ("tts", 0, 2),
        ("ttmt", 1, 2),
        ("tt.t", 3, 3),
        ("ttp", 2, 2),
        ("tpt", 2, 2),
        ("...", 0, 0),
        ("mstttst", 1, 3),
    ],
)
def test_streaks_are_complete_days_until_one_is_broken(
    as_ana: Client, medication: Medication, days: str, current_streak: int, longest_streak: int
) -> None:
    names = {"t": "taken", "s": "skipped", "m": "missed", "p": "pending", ".": "."}
    put(medication, *(names[day] for day in days))
    figures = total(as_ana)
    assert (figures["current_streak"], figures["longest_streak"]) == (current_streak, longest_streak)


def test_a_day_of_two_medicines_is_complete_when_both_were_taken(
    as_ana: Client, ana: Credentials, medication: Medication
) -> None:
    put(medication, "taken", "taken")
    put(medication_of(ana.user, "Aspirin"), "missed", "taken")
    answer = as_ana.get("/api/v1/adherence?group_by=medication").json()
    assert answer["total"]["longest_streak"] == 1
    streaks_by_name = {result["medication"]["name"]: result["longest_streak"] for result in answer["results"]}
    assert streaks_by_name == {"Aspirin": 1, "Metformin": 2}


def test_a_broken_day_outranks_what_else_was_taken_or_is_open() -> None:
    day = Figures(due=3, taken=1, missed=1)
    assert (day.is_broken, day.is_complete) == (True, False)
    days = {date(2026, 1, 1): Figures(due=1, taken=1), date(2026, 1, 2): day}
    assert streaks(days) == (0, 1)


def test_weeks_and_months_are_clipped_to_the_range_and_empty_ones_are_there() -> None:
    first, last = date(2026, 1, 30), date(2026, 2, 10)
    days = periods(GroupBy.WEEK, first, last, week_start=7)
    assert [(start.day, end.day) for start, end in days] == [(30, 31), (1, 7), (8, 10)]
    months = periods(GroupBy.MONTH, first, last, week_start=1)
    assert [(start.day, end.day) for start, end in months] == [(30, 31), (1, 10)]
    assert len(list(periods(GroupBy.DAY, first, last, week_start=1))) == 12


@pytest.mark.parametrize(("week_start", "start"), [(1, 16), (5, 20), (6, 14), (7, 15)])
def test_a_week_begins_on_the_persons_first_day(week_start: int, start: int) -> None:
    friday = date(2026, 11, 20)
    assert period_around(friday, PeriodLength.WEEKLY, week_start=week_start) == (
        date(2026, 11, start),
        date(2026, 11, start + 6),
    )


def test_the_target_is_the_whole_period_also_what_is_not_planned_yet(
    as_ana: Client, medication: Medication
) -> None:
    put(medication, "taken", "taken", "taken", "taken", "taken")  # Monday to Friday
    Schedule.objects.update(is_active=True, next_due_at=datetime(2026, 11, 21, 8, tzinfo=UTC))
    assert current(as_ana, "weekly") == (5, 5, 7, False)
    assert current(as_ana, "daily") == (1, 1, 1, True)
    Schedule.objects.update(end_date=TODAY)
    assert current(as_ana, "weekly") == (5, 5, 5, True)


@pytest.mark.parametrize(
    ("schedule", "medicine"),
    [
        ({"is_active": False}, {}),
        ({"is_active": False, "deleted_at": NOW}, {}),
        ({"plan_error": "InvalidCycle: days", "cycle_type": "weekly"}, {}),
        ({"next_due_at": None}, {}),
        ({}, {"is_active": False}),
        ({}, {"paused_at": NOW}),
        ({}, {"is_active": False, "deleted_at": NOW}),
    ],
)
def test_nothing_is_still_to_come_from_what_is_not_planned(
    as_ana: Client, medication: Medication, schedule: dict[str, Any], medicine: dict[str, Any]
) -> None:
    put(medication, "taken")
    Schedule.objects.update(is_active=True, next_due_at=datetime(2026, 11, 21, 8, tzinfo=UTC))
    assert current(as_ana, "weekly") == (1, 1, 3, False)
    Schedule.objects.update(**schedule)
    Medication.objects.update(**medicine)
    assert current(as_ana, "weekly") == (1, 1, 1, True)


def test_a_date_that_has_its_dose_gets_no_second_one_in_the_target(
    as_ana: Client, medication: Medication
) -> None:
    """As after an edit: Saturday's dose was answered early, and the new rule falls on Saturday again."""
    [dose] = put(medication, "taken")
    tomorrow = TODAY + timedelta(days=1)
    DoseLog.objects.filter(id=dose.id).update(log_date=tomorrow)
    Schedule.objects.update(is_active=True, next_due_at=NOW + timedelta(hours=20))
    assert current(as_ana, "weekly") == (1, 1, 2, False)


def test_the_backlog_of_an_outage_before_the_period_is_not_in_its_target(
    as_ana: Client, medication: Medication
) -> None:
    put(medication, "taken")
    Schedule.objects.update(is_active=True, next_due_at=NOW - timedelta(days=30))
    assert current(as_ana, "daily") == (1, 1, 1, True)
    assert current(as_ana, "weekly") == (1, 1, 7, False)


def test_who_has_nothing_has_zeros_and_no_rates(as_ana: Client, at: Callable[[datetime], None]) -> None:
    at(NOW)
    answer = as_ana.get("/api/v1/adherence?group_by=week&from=2026-11-16&to=2026-11-22").json()
    nothing: dict[str, Any] = dict.fromkeys(("due", "taken", "skipped", "missed", "on_time"), 0)
    nothing |= {"on_time_rate": None, "rate": None}
    assert answer["total"] == nothing | {"current_streak": 0, "longest_streak": 0}
    assert answer["results"] == [
        nothing
        | {"period_start": "2026-11-16", "period_end": "2026-11-22", "medication": None}
        | {"current_streak": None, "longest_streak": None}
    ]
    assert as_ana.get("/api/v1/adherence?group_by=medication").json()["results"] == []
    assert current(as_ana) == (0, 0, 0, False)
