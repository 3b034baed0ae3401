"""Adherence of random histories against a recount in Python."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from dosing.models import DoseLog, Schedule
from dosing.tests.dose_rows import HOUR, Dose, row_of
from dosing.tests.test_cycles import falls_on, first_instant_by_walk
from medications.models import Medication
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, person
from users.models import User

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
    """Sets the clock that the adherence views read, and no other."""

    def set_clock(now: datetime) -> None:
        monkeypatch.setattr("dosing.views.adherence.process_now", lambda: now)

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
        planned_until=chance.choice([None, *(world.now + n * HOUR for n in (-200, -30, 0, 10, 36, 60, 120))]),
    )
    world.schedules.append(schedule)
    eager = chance.random()
    days = {world.today - timedelta(days=n) for n in range(-4, 14)} | {
        world.today - timedelta(days=chance.randint(0, 420)) for _ in range(25)
    }
    for day in days:
        if chance.random() < 0.6:
            assert schedule.scheduled_time
            due_at = first_instant_by_walk(day, schedule.scheduled_time, world.zone)
            world.doses.append(dose_of(chance, schedule, day, due_at, eager))


def dose_of(chance: Random, schedule: Schedule, day: date, due_at: datetime, eager: float) -> Dose:
    status = "taken" if chance.random() < eager else chance.choice(["taken", "skipped", "missed", "pending"])
    minutes = chance.choice([-61, -60, -1, 0, 30, 60, 61, 600])
    second = timedelta(seconds=chance.choice([0, 0, 1]))
    is_withdrawn = chance.random() < 0.1
    return Dose(
        schedule.medication_id,
        schedule.id,
        day,
        due_at,
        status,
        due_at + timedelta(minutes=minutes) + second if status == "taken" else None,
        is_awaited=not is_withdrawn and chance.random() < 0.7,
        is_withdrawn=is_withdrawn,
    )


def counts(dose: Dose, now: datetime) -> bool:
    if dose.schedule is None or dose.is_withdrawn:
        return False
    if dose.status == "pending":
        return dose.is_awaited and dose.due_at <= now
    return True


def is_extra(dose: Dose) -> bool:
    return dose.schedule is not None and dose.is_withdrawn and dose.status == "taken"


def recount(doses: Collection[Dose], now: datetime) -> dict[str, Any]:
    counted = [dose for dose in doses if counts(dose, now)]
    taken = [dose for dose in counted if dose.status == "taken"]
    on_time = [dose for dose in taken if dose.taken_at and abs(dose.taken_at - dose.due_at) <= HOUR]
    return {
        "due": len(counted),
        "taken": len(taken),
        "taken_extra": sum(is_extra(dose) for dose in doses),
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
        used = {dose.medication for dose in doses if counts(dose, world.now) or is_extra(dose)}
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
        | recount([dose for dose in doses if dose.day in group], world.now)
        for group in groups
    ]


def expected_current(world: World, days: list[date]) -> dict[str, Any]:
    doses = [dose for dose in world.doses if dose.day in days]
    figures = recount(doses, world.now)
    target = 0
    for dose in doses:
        if dose.is_withdrawn:
            continue
        target += dose.schedule is not None and (dose.status != "pending" or dose.is_awaited)
    for schedule in world.schedules:
        medication = world.medications[schedule.medication_id]
        is_on = schedule.is_active and medication.is_active and medication.paused_at is None
        for day in days:
            has_dose = any((dose.schedule, dose.day) == (schedule.id, day) for dose in doses)
            if not is_on or schedule.plan_error or schedule.planned_until is None or has_dose:
                continue
            if day < schedule.start_date or (schedule.end_date and day > schedule.end_date):
                continue
            assert schedule.scheduled_time
            due_at = first_instant_by_walk(day, schedule.scheduled_time, world.zone)
            falls = falls_on(schedule.cycle_type, schedule.cycle_value, day, schedule.start_date)
            target += falls and due_at >= schedule.planned_until
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
