"""Adherence against a recount: everything through the API, compared with loops over what was put in."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from dosing.adherence import Figures, GroupBy, PeriodLength, period_around, periods, streaks
from dosing.models import DoseLog, Schedule
from dosing.tests.dose_rows import Dose, row_of
from medications.models import Medication
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of
from users.actions import Credentials


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock that the adherence views read, and no other."""

    def set_clock(now: datetime) -> None:
        monkeypatch.setattr("dosing.views.adherence.process_now", lambda: now)

    return set_clock


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


def test_a_day_of_two_medications_is_complete_when_both_were_taken(
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
def test_a_week_begins_on_the_users_first_day(week_start: int, start: int) -> None:
    friday = date(2026, 11, 20)
    assert period_around(friday, PeriodLength.WEEKLY, week_start=week_start) == (
        date(2026, 11, start),
        date(2026, 11, start + 6),
    )


def test_the_target_is_the_whole_period_also_what_is_not_planned_yet(
    as_ana: Client, medication: Medication
) -> None:
    put(medication, "taken", "taken", "taken", "taken", "taken")  # Monday to Friday
    Schedule.objects.update(is_active=True, planned_until=datetime(2026, 11, 21, 8, tzinfo=UTC))
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
        ({"planned_until": None}, {}),
        ({}, {"is_active": False}),
        ({}, {"paused_at": NOW}),
        ({}, {"is_active": False, "deleted_at": NOW}),
    ],
)
def test_nothing_is_still_to_come_from_what_is_not_planned(
    as_ana: Client, medication: Medication, schedule: dict[str, Any], medicine: dict[str, Any]
) -> None:
    put(medication, "taken")
    Schedule.objects.update(is_active=True, planned_until=datetime(2026, 11, 21, 8, tzinfo=UTC))
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
    Schedule.objects.update(is_active=True, planned_until=NOW + timedelta(hours=20))
    assert current(as_ana, "weekly") == (1, 1, 2, False)


def test_the_backlog_of_an_outage_before_the_period_is_not_in_its_target(
    as_ana: Client, medication: Medication
) -> None:
    put(medication, "taken")
    Schedule.objects.update(is_active=True, planned_until=NOW - timedelta(days=30))
    assert current(as_ana, "daily") == (1, 1, 1, True)
    assert current(as_ana, "weekly") == (1, 1, 7, False)


def test_who_has_nothing_has_zeros_and_no_rates(as_ana: Client, at: Callable[[datetime], None]) -> None:
    at(NOW)
    answer = as_ana.get("/api/v1/adherence?group_by=week&from=2026-11-16&to=2026-11-22").json()
    nothing: dict[str, Any] = dict.fromkeys(
        ("due", "taken", "taken_extra", "skipped", "missed", "on_time"), 0
    )
    nothing |= {"on_time_rate": None, "rate": None}
    assert answer["total"] == nothing | {"current_streak": 0, "longest_streak": 0}
    assert answer["results"] == [
        nothing
        | {"period_start": "2026-11-16", "period_end": "2026-11-22", "medication": None}
        | {"current_streak": None, "longest_streak": None}
    ]
    assert as_ana.get("/api/v1/adherence?group_by=medication").json()["results"] == []
    assert current(as_ana) == (0, 0, 0, False)
