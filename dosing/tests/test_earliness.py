"""How early a planned dose may be answered, and doses that are written by their answer."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.http import Http404

from dosing.actions.doses import amend_dose, skip_dose, snooze_dose, take_dose, undo_dose
from dosing.actions.schedules import delete_schedule, pause_medication
from dosing.dose_ids import dose_id
from dosing.earliness import TooEarly
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.planning import ANSWER_WINDOW, plan_due
from medtrack.tests.support.builders import medication_of, schedule_at, utc
from users.actions import Credentials

# A Friday.
NOW = utc(2026, 11, 20, 12)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
FRIDAYS = {"cycle_type": "weekly", "cycle_value": {"days": ["fri"]}}


def daily(ana: Credentials, **fields: Any) -> Schedule:
    return schedule_at(medication_of(ana.user), time(20), now=NOW, **fields)


def take(ana: Credentials, schedule: Schedule, day: date, now: datetime = NOW, **command: Any) -> DoseLog:
    return take_dose(dose_id=dose_id(schedule.id, day), by=ana.user, now=now, **command).object


def test_a_dose_that_is_not_written_is_written_as_the_planner_would(ana: Credentials) -> None:
    schedule = daily(ana, **FRIDAYS)
    friday = date(2026, 11, 27)
    assert not DoseLog.objects.filter(log_date=friday).exists()
    taken = take(ana, schedule, friday, utc(2026, 11, 25, 9))
    assert (taken.log_date, taken.due_at, taken.ordinal) == (friday, utc(2026, 11, 27, 20), 0)
    assert (taken.status, taken.scheduled_time) == ("taken", time(20))
    assert taken.quantity == 1
    assert taken.answer_by == utc(2026, 11, 27, 20) + ANSWER_WINDOW
    assert DoseEvent.objects.get().dose_id == dose_id(schedule.id, friday)
    # The planner finds it and writes no second one.
    plan_due(now=utc(2026, 11, 26, 21))
    assert DoseLog.objects.filter(log_date=friday).count() == 1


def test_an_id_that_the_rule_does_not_have_does_not_exist(ana: Credentials, ben: Credentials) -> None:
    schedule = daily(ana, **FRIDAYS)
    for by, day in ((ana, date(2026, 11, 26)), (ana, date(2026, 11, 13)), (ben, date(2026, 11, 27))):
        with pytest.raises(Http404):
            take_dose(dose_id=dose_id(schedule.id, day), by=by.user, now=NOW)
    with pytest.raises(Http404):
        take_dose(dose_id=uuid4(), by=ana.user, now=NOW)
    unwritten: Any = {"dose_id": dose_id(schedule.id, date(2026, 11, 27)), "by": ana.user, "now": NOW}
    pause_medication(medication_id=schedule.medication_id, by=ana.user, now=NOW)
    with pytest.raises(Http404):
        take_dose(**unwritten)
    delete_schedule(schedule_id=schedule.id, by=ana.user, now=NOW)
    with pytest.raises(Http404):
        skip_dose(**unwritten)


def test_a_refused_change_of_a_dose_that_is_not_written_writes_nothing(ana: Credentials) -> None:
    schedule = daily(ana, **FRIDAYS)
    command: Any = {"dose_id": dose_id(schedule.id, date(2026, 12, 4)), "by": ana.user, "now": NOW}
    for act in (undo_dose, amend_dose, take_dose, skip_dose):
        with pytest.raises(Exception, match=r"early|not been answered"):
            act(**command)
    assert not DoseLog.objects.filter(log_date=date(2026, 12, 4)).exists()
    assert snooze_dose(**command, minutes=10).object.snoozed_until == utc(2026, 12, 4, 20, 10)


@pytest.mark.parametrize(
    ("at", "earliest_at"),
    [
        # Without an intake before it, a whole gap ahead.
        (utc(2026, 11, 27, 20) - 7 * DAY, None),
        (utc(2026, 11, 27, 20) - 7 * DAY - HOUR, utc(2026, 11, 20, 20)),
    ],
)
def test_the_first_dose_may_be_a_gap_early(
    ana: Credentials, at: datetime, earliest_at: datetime | None
) -> None:
    schedule = daily(ana, start_date=date(2026, 11, 27), **FRIDAYS)
    if earliest_at is None:
        assert take(ana, schedule, date(2026, 11, 27), at).taken_at == at
        return
    with pytest.raises(TooEarly) as refused:
        take(ana, schedule, date(2026, 11, 27), at)
    assert refused.value.status_code == 400
    assert refused.value.members == {
        "due_at": utc(2026, 11, 27, 20),
        "earliest_at": earliest_at,
        "last_taken_at": None,
    }
    taken = take(ana, schedule, date(2026, 11, 27), at, override=True)
    assert taken.taken_at == at
    assert DoseEvent.objects.get().payload == {"override": "TooEarly"}


@pytest.mark.parametrize(
    ("at", "earliest_at"),
    [
        (utc(2026, 11, 24, 8), None),  # half a gap before it is due, and after the last one
        (utc(2026, 11, 24, 7, 59), utc(2026, 11, 24, 8)),
        (utc(2026, 11, 27, 19), None),
    ],
)
def test_a_later_dose_may_be_half_a_gap_early(
    ana: Credentials, at: datetime, earliest_at: datetime | None
) -> None:
    schedule = daily(ana, **FRIDAYS)
    take(ana, schedule, date(2026, 11, 20), utc(2026, 11, 20, 20))
    if earliest_at is None:
        assert take(ana, schedule, date(2026, 11, 27), at).status == "taken"
        return
    with pytest.raises(TooEarly) as refused:
        take(ana, schedule, date(2026, 11, 27), at)
    assert refused.value.members["earliest_at"] == earliest_at
    assert refused.value.members["last_taken_at"] == utc(2026, 11, 20, 20)


def test_a_dose_shortly_after_the_last_one_asks_until_it_is_due(ana: Credentials) -> None:
    schedule = daily(ana)
    late = utc(2026, 11, 21, 14)
    take(ana, schedule, date(2026, 11, 20), late)
    with pytest.raises(TooEarly) as refused:
        take(ana, schedule, date(2026, 11, 21), late + HOUR)
    assert refused.value.members["earliest_at"] == utc(2026, 11, 21, 20)
    # Leaving it out for that reason is not too early.
    command: Any = {"dose_id": dose_id(schedule.id, date(2026, 11, 21)), "by": ana.user}
    assert skip_dose(**command, now=late + HOUR).object.status == "skipped"
    undo_dose(**command, now=late + HOUR)
    assert take(ana, schedule, date(2026, 11, 21), utc(2026, 11, 21, 20)).status == "taken"


def test_skipping_and_amending_have_the_same_bound(ana: Credentials) -> None:
    schedule = daily(ana, **FRIDAYS)
    take(ana, schedule, date(2026, 11, 20), utc(2026, 11, 20, 20))
    command: Any = {"dose_id": dose_id(schedule.id, date(2026, 11, 27)), "by": ana.user}
    with pytest.raises(TooEarly):
        skip_dose(**command, now=utc(2026, 11, 21))
    assert skip_dose(**command, now=utc(2026, 11, 21), override=True).object.status == "skipped"
    take_dose(**command, now=utc(2026, 11, 27, 20))
    with pytest.raises(TooEarly):
        amend_dose(**command, now=utc(2026, 11, 28), taken_at=utc(2026, 11, 23))
    amended = amend_dose(**command, now=utc(2026, 11, 28), taken_at=utc(2026, 11, 23), override=True)
    assert amended.object.taken_at == utc(2026, 11, 23)


def test_a_dose_was_not_taken_months_before_it_was_due(ana: Credentials) -> None:
    schedule = daily(ana)
    with pytest.raises(TooEarly):
        take(ana, schedule, date(2026, 11, 20), utc(2026, 11, 20, 21), occurred_at=utc(2025, 12, 20))


def test_a_cycle_without_a_usual_gap_has_that_to_the_dose_before(ana: Credentials) -> None:
    dates = {"cycle_type": "dates", "cycle_value": {"dates": ["2026-11-20", "2026-11-22"]}}
    schedule = daily(ana, **dates)
    take(ana, schedule, date(2026, 11, 20), utc(2026, 11, 20, 20))
    with pytest.raises(TooEarly):
        take(ana, schedule, date(2026, 11, 22), utc(2026, 11, 21, 19, 59))
    assert take(ana, schedule, date(2026, 11, 22), utc(2026, 11, 21, 20)).status == "taken"
