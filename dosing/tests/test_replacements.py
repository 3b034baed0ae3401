"""A schedule that is deleted and made anew does not ask again for a dose that was taken."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest

from dosing.actions.doses import take_dose
from dosing.actions.intakes import log_intake
from dosing.actions.schedules import delete_schedule
from dosing.models import DoseLog, Schedule
from dosing.planning import plan_due
from medications.models import Medication
from medtrack.tests.support.builders import medication_of, schedule_at, utc
from users.actions import Credentials

NOW = utc(2026, 11, 20, 7)
WEEKLY: dict[str, Any] = {"cycle_type": "weekly", "cycle_value": {"days": ["fri"]}}


@pytest.fixture
def medication(ana: Credentials) -> Medication:
    return medication_of(ana.user)


def take(schedule: Schedule, at: datetime) -> None:
    dose = DoseLog.objects.filter(schedule=schedule).earliest("due_at")
    take_dose(dose_id=dose.id, by=schedule.medication.user, now=at)


def delete(schedule: Schedule, at: datetime) -> None:
    delete_schedule(schedule_id=schedule.id, by=schedule.medication.user, now=at)


def first_due(medication: Medication, hour: int, *, now: datetime, **fields: Any) -> datetime | None:
    """Makes a schedule and says when its first dose is due."""
    schedule = schedule_at(medication, time(hour), now=now, **fields)
    # The planner goes on behind the last dose that it has planned.
    dose = DoseLog.objects.filter(schedule=schedule).order_by("due_at").first()
    return dose.due_at if dose else schedule.planned_until


@pytest.mark.parametrize(("hour", "first"), [(8, 21), (10, 21), (20, 21), (21, 20)])
def test_a_dose_that_was_taken_is_not_asked_for_again(medication: Medication, hour: int, first: int) -> None:
    """Taken at 08:30, a daily dose is asked for again after 20:30."""
    old = schedule_at(medication, time(8), now=NOW)
    take(old, NOW + timedelta(hours=1, minutes=30))
    delete(old, NOW + timedelta(hours=1, minutes=40))
    assert first_due(medication, hour, now=NOW + timedelta(hours=2)) == utc(2026, 11, first, hour)


def test_the_next_runs_of_the_planner_do_not_ask_either(medication: Medication) -> None:
    old = schedule_at(medication, time(8), now=NOW)
    take(old, NOW + timedelta(hours=1))
    delete(old, NOW + timedelta(hours=2))
    new = schedule_at(medication, time(10), now=NOW + timedelta(hours=2))
    plan_due(now=NOW + timedelta(hours=4))
    days = DoseLog.objects.filter(schedule=new).order_by("due_at").values_list("log_date", flat=True)
    assert [day.day for day in days] == [21]


@pytest.mark.parametrize(("day", "first"), [("sat", 28), ("sun", 22)])
def test_a_dose_that_was_taken_early_counts_from_its_due_instant(
    medication: Medication, day: str, first: int
) -> None:
    """A weekly dose, due on Friday at 08:00 and taken on Thursday: none until Saturday at 08:00."""
    thursday = utc(2026, 11, 19, 6)
    old = schedule_at(medication, time(8), now=thursday - timedelta(hours=6), **WEEKLY)
    take(old, thursday)
    delete(old, thursday + timedelta(hours=1))
    weekly = WEEKLY | {"cycle_value": {"days": [day]}}
    new = schedule_at(medication, time(7), now=thursday + timedelta(hours=2), **weekly)
    assert new.planned_until == utc(2026, 11, first, 7)


def test_without_a_deleted_schedule_nothing_is_left_out(medication: Medication) -> None:
    """A second time of day is not the first one made anew."""
    take(schedule_at(medication, time(8), now=NOW), NOW + timedelta(hours=1))
    assert first_due(medication, 18, now=NOW + timedelta(hours=2)) == utc(2026, 11, 20, 18)


def test_each_deleted_schedule_is_replaced_once_by_the_nearest(medication: Medication) -> None:
    old = [schedule_at(medication, time(hour), now=NOW) for hour in (8, 14, 20)]
    take(old[0], NOW + timedelta(hours=1))
    for schedule in old:
        delete(schedule, NOW + timedelta(hours=2))
    new = [first_due(medication, hour, now=NOW + timedelta(hours=2)) for hour in (10, 15, 21)]
    assert new == [utc(2026, 11, 21, 10), utc(2026, 11, 20, 15), utc(2026, 11, 20, 21)]


def test_one_time_of_day_that_becomes_three_asks_for_the_others(medication: Medication) -> None:
    old = schedule_at(medication, time(8), now=NOW)
    take(old, NOW + timedelta(hours=1))
    delete(old, NOW + timedelta(hours=2))
    new = [first_due(medication, hour, now=NOW + timedelta(hours=2)) for hour in (10, 15, 19)]
    assert new == [utc(2026, 11, 21, 10), utc(2026, 11, 20, 15), utc(2026, 11, 20, 19)]


def test_an_intake_without_a_schedule_counts(medication: Medication) -> None:
    old = schedule_at(medication, time(20), now=NOW)
    at = NOW + timedelta(hours=12)
    log_intake(medication_id=medication.id, by=medication.user, now=at, session=None)
    delete(old, at)
    assert first_due(medication, 21, now=at) == utc(2026, 11, 21, 21)


def test_what_was_not_taken_is_asked_for(medication: Medication) -> None:
    old = schedule_at(medication, time(8), now=NOW)
    delete(old, NOW + timedelta(hours=2))
    assert first_due(medication, 10, now=NOW + timedelta(hours=2)) == utc(2026, 11, 20, 10)


def test_of_single_dates_only_the_date_of_the_intake_is_left_out(medication: Medication) -> None:
    dates = {"cycle_type": "dates", "cycle_value": {"dates": ["2026-11-20", "2026-11-21"]}}
    old = schedule_at(medication, time(8), now=NOW, **dates)
    take(old, NOW + timedelta(hours=1))
    delete(old, NOW + timedelta(hours=2))
    assert first_due(medication, 23, now=NOW + timedelta(hours=2), **dates) == utc(2026, 11, 21, 23)
