"""Taking an answer back: how long the dose is awaited, what became of it meanwhile, and which answer it is."""

from datetime import date, time, timedelta
from typing import Any
from uuid import uuid4

import pytest

from dosing.actions.doses import skip_dose, snooze_dose, take_dose, undo_dose
from dosing.actions.schedules import delete_schedule, pause_medication, update_schedule
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.refusals import InvalidTransition
from dosing.settling import settle
from medtrack.tests.support.builders import dose_due, medication_of, person, schedule_at, utc
from users.actions import Credentials

NOW = utc(2026, 11, 20, 12)
HOUR = timedelta(hours=1)


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    return dose_due(ana.user, NOW)


def undone(dose: DoseLog, **command: Any) -> DoseLog:
    return undo_dose(dose_id=dose.id, by=dose.user, **command).object


def test_a_reopened_dose_is_awaited_until_the_end_of_its_day(ana: Credentials, dose: DoseLog) -> None:
    take_dose(dose_id=dose.id, by=ana.user, now=NOW)
    reopened = undone(dose, now=NOW + 6 * HOUR)
    assert (reopened.status, reopened.reopened_until) == ("pending", utc(2026, 11, 20, 23, 59))
    assert reopened.answer_by == utc(2026, 11, 20, 23, 59)
    assert settle(now=utc(2026, 11, 20, 23, 58)) == 0
    assert settle(now=utc(2026, 11, 20, 23, 59)) == 1


def test_the_end_of_the_day_is_that_of_the_schedules_zone(db: None) -> None:
    dora = person("Dora", timezone="Asia/Seoul").user
    dose = dose_due(dora, NOW)
    skip_dose(dose_id=dose.id, by=dora, now=NOW)
    assert undone(dose, now=NOW).reopened_until == utc(2026, 11, 20, 14, 59)
    skip_dose(dose_id=dose.id, by=dora, now=NOW)
    Schedule.objects.update(timezone="America/New_York")
    assert undone(dose, now=NOW).reopened_until == utc(2026, 11, 21, 4, 59)


def test_a_missed_dose_is_reopened_for_an_hour(ana: Credentials, dose: DoseLog) -> None:
    tomorrow = NOW + 24 * HOUR
    settle(now=tomorrow)
    reopened = undone(dose, now=tomorrow)
    assert (reopened.status, reopened.answer_by) == ("pending", tomorrow + HOUR)
    assert settle(now=tomorrow + timedelta(minutes=59)) == 0
    assert settle(now=tomorrow + HOUR) == 1
    assert DoseLog.objects.get().reopened_until is None


def test_undoing_a_snooze_leaves_the_dose_as_it_was_before(ana: Credentials, dose: DoseLog) -> None:
    before = DoseLog.objects.values().get()
    snooze_dose(dose_id=dose.id, by=ana.user, now=NOW, minutes=30)
    undone(dose, now=NOW)
    assert DoseLog.objects.values().get() == before
    assert sorted(DoseEvent.objects.values_list("action", flat=True)) == ["reopened", "snoozed"]
    assert not undo_dose(dose_id=dose.id, by=ana.user, now=NOW + HOUR).changed


def test_a_dose_that_was_never_answered_has_nothing_to_undo(dose: DoseLog) -> None:
    with pytest.raises(InvalidTransition, match="not been answered"):
        undone(dose, now=NOW)


@pytest.mark.parametrize("ending", ["pause", "delete", "span"])
def test_a_dose_that_the_plan_no_longer_has_is_withdrawn(
    ana: Credentials, dose: DoseLog, ending: str
) -> None:
    take_dose(dose_id=dose.id, by=ana.user, now=NOW)
    if ending == "pause":
        pause_medication(medication_id=dose.medication_id, by=ana.user, now=NOW + HOUR)
    elif ending == "delete":
        delete_schedule(schedule_id=Schedule.objects.get().id, by=ana.user, now=NOW + HOUR)
    else:
        Schedule.objects.update(start_date=date(2026, 11, 21), end_date=None)
    reopened = undone(dose, now=NOW + 2 * HOUR)
    assert (reopened.status, reopened.answer_by) == ("pending", None)
    assert reopened.withdrawn_at == NOW + 2 * HOUR
    assert take_dose(dose_id=dose.id, by=ana.user, now=NOW + 2 * HOUR).object.withdrawn_at


def test_a_dose_to_come_follows_what_was_edited_while_it_was_answered(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(20), now=NOW)
    dose = DoseLog.objects.get(log_date=date(2026, 11, 20))
    take_dose(dose_id=dose.id, by=ana.user, now=NOW)
    changes = {"scheduled_time": time(21), "quantity": 2}
    update_schedule(schedule_id=schedule.id, by=ana.user, changes=changes, now=NOW)
    reopened = undone(dose, now=NOW)
    assert (reopened.status, reopened.due_at) == ("pending", utc(2026, 11, 20, 21))
    assert reopened.quantity == 2
    assert reopened.answer_by == utc(2026, 11, 21, 1)
    assert reopened.reopened_until == utc(2026, 11, 20, 23, 59)
    take_dose(dose_id=dose.id, by=ana.user, now=NOW)
    pause_medication(medication_id=schedule.medication_id, by=ana.user, now=NOW)
    assert undone(dose, now=NOW).withdrawn_at == NOW


def test_an_undo_of_an_answer_that_is_not_the_latest_changes_nothing(ana: Credentials, dose: DoseLog) -> None:
    first, second = uuid4(), uuid4()
    take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=first)
    undone(dose, now=NOW + HOUR, undoes=first)
    skip_dose(dose_id=dose.id, by=ana.user, now=NOW + 2 * HOUR, event_id=second)
    before = [list(model.objects.values()) for model in (DoseLog, DoseEvent)]
    for undoes in (first, uuid4()):
        result = undo_dose(dose_id=dose.id, by=ana.user, now=NOW + 3 * HOUR, undoes=undoes)
        assert (result.changed, result.is_superseded) == (False, True)
    assert [list(model.objects.values()) for model in (DoseLog, DoseEvent)] == before
    assert undone(dose, now=NOW + 3 * HOUR, undoes=second).status == "pending"


def test_the_id_of_a_repeat_names_the_answer_that_it_repeated(ana: Credentials, dose: DoseLog) -> None:
    again = uuid4()
    take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=uuid4())
    take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=again)
    assert undone(dose, now=NOW + HOUR, undoes=again).status == "pending"
