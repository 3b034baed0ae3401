"""What was taken stays what it was, whatever is edited afterwards."""

from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dosing.actions.doses import skip_dose, take_dose, undo_dose
from dosing.actions.intakes import log_intake
from dosing.models import DoseLog, Schedule
from dosing.settling import settle
from medications.models import Medication
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import dose_due, medication_of, schedule_at, utc
from medtrack.tests.support.edits import describe, edit_rule
from users.actions import Credentials

HOUR = timedelta(hours=1)
NOW = timezone.now().replace(microsecond=0)
DOSES = "/api/v1/doses"
OLD = {"name": "Metformin", "dosage": "one tablet", "strength": "5", "form": "tablet", "unit": "mg"}
NEW = {"name": "Glucophage", "dosage": "half", "strength": "10", "form": "capsule", "unit": "g"}


@pytest.fixture
def medication(ana: Credentials) -> Medication:
    return medication_of(ana.user, **OLD)


def described(client: Client, dose: DoseLog) -> dict[str, dict[str, Any]]:
    """The medication of the dose, as the day and the history show it."""
    day = client.get(f"{DOSES}?date={dose.log_date}").json()["results"]
    history = client.get(f"{DOSES}?to={dose.log_date}").json()["results"]
    return {
        "day": next(one["medication"] for one in day if one["id"] == str(dose.id)),
        "history": next(one["medication"] for one in history if one["id"] == str(dose.id)),
    }


def shown(medication: Medication, **described: str) -> dict[str, Any]:
    medication.refresh_from_db()
    return {
        "id": str(medication.id),
        **described,
        "color_tag": medication.color_tag,
        "current_name": medication.name,
    }


def everywhere(shown: dict[str, Any]) -> dict[str, Any]:
    return {"day": shown, "history": shown}


def test_a_dose_taken_between_two_edits_shows_what_was_taken(
    as_ana: Client, ana: Credentials, medication: Medication
) -> None:
    dose = dose_due(ana.user, NOW - 3 * HOUR)
    describe(medication, at=NOW - 4 * HOUR, strength="7", name="Metformin XR")
    take_dose(dose_id=dose.id, by=ana.user, now=NOW - 3 * HOUR)
    describe(medication, at=NOW - 2 * HOUR, **NEW)
    describe(medication, at=NOW - HOUR, name="Siofor")
    expected = shown(medication, **OLD | {"strength": "7", "name": "Metformin XR"})
    assert expected["current_name"] == "Siofor"
    assert described(as_ana, dose) == everywhere(expected)


@pytest.mark.parametrize("is_missed", [False, True])
def test_what_was_skipped_or_missed_keeps_its_description(
    as_ana: Client, ana: Credentials, medication: Medication, is_missed: bool
) -> None:
    dose = dose_due(ana.user, NOW - 6 * HOUR)
    if is_missed:
        # Between the time that it was due and the one at which it was settled.
        describe(medication, at=NOW - 5 * HOUR, **NEW)
        settle(now=NOW)
    else:
        skip_dose(dose_id=dose.id, by=ana.user, now=NOW - 6 * HOUR)
        describe(medication, at=NOW - 5 * HOUR, **NEW)
    assert described(as_ana, dose) == everywhere(shown(medication, **OLD))


def test_an_intake_keeps_its_description(as_ana: Client, ana: Credentials, medication: Medication) -> None:
    intake = log_intake(medication_id=medication.id, by=ana.user, now=NOW - 2 * HOUR).object
    describe(medication, at=NOW - HOUR, **NEW)
    assert described(as_ana, intake) == everywhere(shown(medication, **OLD))


def test_a_pending_dose_and_one_whose_answer_was_taken_back_show_the_present(
    as_ana: Client, ana: Credentials, medication: Medication
) -> None:
    dose = dose_due(ana.user, NOW - 2 * HOUR)
    take_dose(dose_id=dose.id, by=ana.user, now=NOW - 2 * HOUR)
    describe(medication, at=NOW - HOUR, **NEW)
    undone = as_ana.post(f"{DOSES}/{dose.id}/undo").json()
    assert undone["medication"] == shown(medication, **NEW)
    assert described(as_ana, dose) == everywhere(shown(medication, **NEW))


def test_the_answer_to_a_take_describes_what_was_taken(
    as_ana: Client, ana: Credentials, medication: Medication
) -> None:
    live, offline = dose_due(ana.user, NOW - 2 * HOUR), dose_due(ana.user, NOW - 3 * HOUR)
    describe(medication, at=NOW - HOUR, **NEW)
    medication.refresh_from_db()
    assert as_ana.post(f"{DOSES}/{live.id}/take").json()["medication"] == shown(medication, **NEW)
    at = {"occurred_at": (NOW - 2 * HOUR).isoformat()}
    assert as_ana.post(f"{DOSES}/{offline.id}/take", at, format="json").json()["medication"] == shown(
        medication, **OLD
    )
    # And corrected, which is the slow way, to a time after the edit.
    at = {"taken_at": NOW.isoformat()}
    amended = as_ana.post(f"{DOSES}/{offline.id}/amend", at, format="json").json()
    assert amended["medication"] == shown(medication, **NEW)


def test_what_a_phone_flushes_after_an_edit_is_what_was_taken_before_it(
    as_ana: Client, ana: Credentials, medication: Medication
) -> None:
    dose = dose_due(ana.user, NOW - 2 * HOUR)
    describe(medication, at=NOW - HOUR, **NEW)
    event = {
        "event_id": str(uuid4()),
        "action": "take",
        "dose_id": str(dose.id),
        "occurred_at": (NOW - 2 * HOUR).isoformat(),
    }
    (result,) = as_ana.post(f"{DOSES}/events", {"events": [event]}, format="json").json()["results"]
    assert result["status"] == "applied"
    assert result["dose"]["medication"] == shown(medication, **OLD)
    assert described(as_ana, dose) == everywhere(shown(medication, **OLD))


def test_another_medication_of_the_same_history_costs_no_query_of_its_own(
    as_ana: Client,
    ana: Credentials,
    medication: Medication,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    doses = [dose_due(ana.user, NOW - hours * HOUR) for hours in (2, 3, 4)]
    for dose in doses:
        take_dose(dose_id=dose.id, by=ana.user, now=NOW - 2 * HOUR)
    history = f"{DOSES}?to={NOW.date()}"
    as_ana.get(history)
    with django_assert_num_queries(2):
        as_ana.get(history)
    describe(medication, at=NOW - HOUR, **NEW)
    with django_assert_num_queries(2):
        assert {one["medication"]["strength"] for one in as_ana.get(history).json()["results"]} == {"5"}


def test_adherence_by_medication_has_one_line_with_the_present_name(
    as_ana: Client, ana: Credentials, medication: Medication
) -> None:
    first, second = dose_due(ana.user, NOW - 4 * HOUR), dose_due(ana.user, NOW - 2 * HOUR)
    take_dose(dose_id=first.id, by=ana.user, now=NOW - 4 * HOUR)
    describe(medication, at=NOW - 3 * HOUR, **NEW)
    take_dose(dose_id=second.id, by=ana.user, now=NOW - 2 * HOUR)
    days = f"from={first.log_date}&to={NOW.date()}"
    (line,) = as_ana.get(f"/api/v1/adherence?{days}&group_by=medication").json()["results"]
    assert line["medication"]["name"] == "Glucophage"
    assert line["taken"] == 2


# The dose of 11:00; at 09:00 its schedule was edited.
EIGHT, NINE, TEN = (utc(2026, 11, 20, hour) for hour in (8, 9, 10))


@pytest.fixture
def at_eleven(medication: Medication) -> Schedule:
    return schedule_at(medication, time(11), now=utc(2026, 11, 19, 12), quantity=Decimal(1))


def dose_of(schedule: Schedule) -> DoseLog:
    return DoseLog.objects.get(schedule=schedule, log_date=date(2026, 11, 20))


EDITS: dict[str, dict[str, Any]] = {
    "quantity": {"quantity": Decimal(2)},
    "taper": {"cycle_type": "taper", "cycle_value": {"steps": [{"days": 30, "quantity": "2"}]}},
    "time": {"quantity": Decimal(2), "scheduled_time": time(12)},
}


@pytest.mark.parametrize("action", ["take", "skip"])
@pytest.mark.parametrize("edit", EDITS)
def test_what_was_answered_before_an_edit_and_reported_after_it_keeps_the_quantity_of_before(
    ana: Credentials, at_eleven: Schedule, edit: str, action: str
) -> None:
    edit_rule(at_eleven, at=NINE, **EDITS[edit])
    dose = dose_of(at_eleven)
    assert dose.quantity == 2
    answer = take_dose if action == "take" else skip_dose
    answer(dose_id=dose.id, by=ana.user, now=TEN, occurred_at=EIGHT)
    assert dose_of(at_eleven).quantity == 1
    # Taken back it is as planned now.
    undo_dose(dose_id=dose.id, by=ana.user, now=TEN)
    assert dose_of(at_eleven).quantity == 2
    answer(dose_id=dose.id, by=ana.user, now=TEN)
    assert dose_of(at_eleven).quantity == 2


def test_between_two_edits_it_is_the_quantity_of_between(ana: Credentials, at_eleven: Schedule) -> None:
    edit_rule(at_eleven, at=EIGHT - HOUR, quantity=Decimal("1.5"))
    edit_rule(at_eleven, at=NINE, quantity=Decimal(3))
    edit_rule(at_eleven, at=NINE + HOUR / 2, reminder_enabled=False)
    take_dose(dose_id=dose_of(at_eleven).id, by=ana.user, now=TEN, occurred_at=EIGHT)
    assert dose_of(at_eleven).quantity == Decimal("1.5")


def test_a_dose_that_was_due_at_the_edit_keeps_its_quantity(ana: Credentials, at_eleven: Schedule) -> None:
    edit_rule(at_eleven, at=NINE + 3 * HOUR, quantity=Decimal(3))
    dose = dose_of(at_eleven)
    for at in (NINE, NINE + 4 * HOUR):
        take_dose(dose_id=dose.id, by=ana.user, now=NINE + 4 * HOUR, occurred_at=at)
        assert dose_of(at_eleven).quantity == 1
        undo_dose(dose_id=dose.id, by=ana.user, now=NINE + 4 * HOUR)
        assert dose_of(at_eleven).quantity == 1


def test_the_short_way_leaves_what_was_taken_before_an_edit_to_the_long_one(
    as_ana: Client, ana: Credentials, medication: Medication
) -> None:
    due_at = NOW + 2 * HOUR
    schedule = schedule_at(medication, due_at.time(), now=NOW - 3 * HOUR, start_date=due_at.date())
    edit_rule(schedule, at=NOW - HOUR, quantity=Decimal(2))
    dose = DoseLog.objects.get(schedule=schedule, due_at=due_at)
    at = {"occurred_at": (NOW - 2 * HOUR).isoformat()}
    assert as_ana.post(f"{DOSES}/{dose.id}/take", at, format="json").json()["quantity"] == "1"
    as_ana.post(f"{DOSES}/{dose.id}/undo")
    assert as_ana.post(f"{DOSES}/{dose.id}/take").json()["quantity"] == "2"
