from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import time, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.http import Http404
from pytest_django import Settings
from rest_framework.exceptions import ValidationError

from dosing.actions.doses import DoseResult, amend_dose, take_dose, undo_dose
from dosing.actions.intakes import log_intake
from dosing.actions.schedules import delete_schedule
from dosing.as_needed import DailyLimitReached, IntakeTooSoon
from dosing.models import DoseEvent, DoseLog, Schedule
from medications.models import Medication
from medtrack.http.problems import IdConflict
from medtrack.tests.support.builders import dose_due, medication_of, person, schedule_at, utc
from medtrack.tests.support.workers import closing
from users.actions import Credentials
from users.models import User

NOW = utc(2026, 11, 20, 12)
HOUR = timedelta(hours=1)


def as_needed(medication: Medication, **limits: int) -> Schedule:
    return schedule_at(medication, time(0), now=NOW, cycle_type="as_needed", cycle_value=limits)


@pytest.fixture
def medication(ana: Credentials) -> Medication:
    medication = medication_of(ana.user, "Ibuprofen")
    as_needed(medication, min_gap_minutes=240, max_per_day=3)
    return medication


def log(medication: Medication, after: timedelta = timedelta(0), **fields: Any) -> DoseResult:
    return log_intake(medication_id=medication.id, by=medication.user, now=NOW + after, **fields)


def take(medication: Medication, after: timedelta = timedelta(0), **fields: Any) -> DoseLog:
    return log(medication, after, **fields).object


def test_an_intake_is_a_taken_dose_without_schedule_or_due_time(medication: Medication) -> None:
    Schedule.objects.update(quantity=Decimal("0.5"))
    dose = take(medication, taken_at=NOW - HOUR, note="headache")
    assert (dose.status, dose.schedule_id, dose.due_at, dose.answer_by) == ("taken", None, None, None)
    assert (dose.quantity, dose.taken_at, dose.log_date.day) == (Decimal("0.5"), NOW - HOUR, 20)
    event = DoseEvent.objects.get()
    assert (event.action, event.occurred_at, event.payload) == ("taken", NOW - HOUR, {"note": "headache"})


def test_the_date_of_an_intake_is_the_users_local_date(db: None) -> None:
    medication = medication_of(person("Dora", timezone="Asia/Seoul").user)
    assert take(medication, 4 * HOUR).log_date.day == 21


def test_too_soon_and_too_often_are_refused_with_the_next_time(medication: Medication) -> None:
    take(medication, -8 * HOUR)
    with pytest.raises(IntakeTooSoon) as too_soon:
        take(medication, -5 * HOUR)
    assert too_soon.value.members == {"next_allowed_at": NOW - 4 * HOUR}
    take(medication, -4 * HOUR)
    take(medication)
    with pytest.raises(DailyLimitReached) as too_often:
        take(medication, 6 * HOUR)
    # Not at midnight: 24 hours after the first of the three.
    assert too_often.value.members == {"next_allowed_at": NOW + 16 * HOUR}
    with pytest.raises(DailyLimitReached):
        take(medication, 12 * HOUR)
    assert take(medication, 16 * HOUR).log_date.day == 21
    assert DoseLog.objects.count() == 4


def test_an_override_is_possible_and_remembered(medication: Medication) -> None:
    take(medication, override=True)
    take(medication, HOUR, override=True)
    assert list(DoseEvent.objects.order_by("id").values_list("payload", flat=True)) == [
        {},
        {"override": "IntakeTooSoon"},
    ]


def test_an_undone_intake_does_not_count_and_is_taken_again_within_the_limits(
    medication: Medication,
) -> None:
    dose = take(medication)
    undo_dose(dose_id=dose.id, by=medication.user, now=NOW)
    again = take(medication, HOUR)
    with pytest.raises(IntakeTooSoon):
        take_dose(dose_id=dose.id, by=medication.user, now=NOW + 2 * HOUR)
    undo_dose(dose_id=again.id, by=medication.user, now=NOW + 2 * HOUR)
    assert (
        take_dose(dose_id=dose.id, by=medication.user, now=NOW + 2 * HOUR).object.taken_at == NOW + 2 * HOUR
    )


def test_an_intake_belongs_to_the_date_on_which_it_was_taken(medication: Medication) -> None:
    dose = take(medication)
    amend_dose(dose_id=dose.id, by=medication.user, now=NOW, taken_at=NOW - 24 * HOUR)
    assert DoseLog.objects.get().log_date.day == 19
    undo_dose(dose_id=dose.id, by=medication.user, now=NOW)
    assert take_dose(dose_id=dose.id, by=medication.user, now=NOW + 24 * HOUR).object.log_date.day == 21


def test_the_strictest_of_several_as_needed_schedules_holds_and_deleted_ones_do_not(
    medication: Medication,
) -> None:
    stricter = as_needed(medication, min_gap_minutes=480)
    take(medication)
    with pytest.raises(IntakeTooSoon):
        take(medication, 7 * HOUR)
    delete_schedule(schedule_id=stricter.id, by=stricter.medication.user, now=NOW)
    take(medication, 7 * HOUR)


def test_a_named_schedule_decides_limits_and_quantity(medication: Medication, ben: Credentials) -> None:
    loose = as_needed(medication, min_gap_minutes=1)
    take(medication)
    take(medication, HOUR, schedule_id=loose.id)
    planned = schedule_at(medication, time(20), now=NOW)
    with pytest.raises(ValidationError) as refused:
        take(medication, 2 * HOUR, schedule_id=planned.id)
    assert refused.value.get_codes() == {"schedule_id": ["not_as_needed"]}
    for foreign in (uuid4(), as_needed(medication_of(ben.user)).id):
        with pytest.raises(Http404):
            take(medication, 2 * HOUR, schedule_id=foreign)


def test_a_planned_dose_of_the_medication_counts(medication: Medication) -> None:
    schedule_at(medication, time(12), now=NOW - HOUR)
    planned = DoseLog.objects.get(due_at=NOW)
    take_dose(dose_id=planned.id, by=medication.user, now=NOW)
    with pytest.raises(IntakeTooSoon) as too_soon:
        take(medication, HOUR)
    assert too_soon.value.members == {"next_allowed_at": NOW + 4 * HOUR}


def test_a_change_of_zone_gives_no_intake_back(medication: Medication) -> None:
    for hours in (0, 4, 8):
        take(medication, hours * HOUR)
    User.objects.update(timezone="Pacific/Kiritimati")
    with pytest.raises(DailyLimitReached):
        take(medication, 13 * HOUR)


def test_the_quantity_of_24_hours_is_limited(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    schedule_at(
        medication, time(0), now=NOW, cycle_type="as_needed", cycle_value={"max_quantity_per_day": "4"}
    )
    take(medication, quantity=Decimal(3))
    with pytest.raises(DailyLimitReached) as too_much:
        take(medication, HOUR, quantity=Decimal(2))
    assert too_much.value.members == {"next_allowed_at": NOW + 24 * HOUR}
    assert take(medication, HOUR, quantity=Decimal(1)).quantity == 1
    with pytest.raises(DailyLimitReached) as never:
        take(medication, 30 * HOUR, quantity=Decimal(5))
    assert never.value.members == {"next_allowed_at": None}


def test_the_same_id_and_body_is_the_same_intake(medication: Medication, ben: Credentials) -> None:
    body: dict[str, Any] = {"id": uuid4(), "medication_id": medication.id, "quantity": Decimal("1.5")}
    results = [log_intake(by=medication.user, now=NOW + n * HOUR, **body) for n in range(3)]
    assert [result.changed for result in results] == [True, False, False]
    ids = {result.object.id for result in results}
    assert len(ids) == DoseLog.objects.count() == DoseEvent.objects.count() == 1
    named = as_needed(medication)
    others: list[dict[str, Any]] = [
        {"quantity": Decimal(2)},
        {"taken_at": NOW - HOUR},
        {"note": "x"},
        {"schedule_id": named.id},
    ]
    for other in others:
        with pytest.raises(IdConflict):
            log_intake(by=medication.user, now=NOW, **(body | other))
    with pytest.raises(IdConflict):
        log_intake(by=ben.user, now=NOW, **(body | {"medication_id": medication_of(ben.user).id}))
    planned = dose_due(medication.user, NOW)
    with pytest.raises(IdConflict):
        log_intake(by=medication.user, now=NOW + 24 * HOUR, **(body | {"id": planned.id}))


def test_an_intake_of_another_users_medication_or_in_the_future_is_refused(
    medication: Medication, ben: Credentials
) -> None:
    with pytest.raises(Http404):
        log_intake(medication_id=medication.id, by=ben.user, now=NOW)
    with pytest.raises(ValidationError) as refused:
        take(medication, taken_at=NOW + HOUR)
    assert refused.value.get_codes() == {"taken_at": ["in_future"]}


def test_an_intake_beyond_what_a_day_is_expected_to_have_is_recorded_and_marked(
    medication: Medication, settings: Settings
) -> None:
    settings.LIMITS = replace(settings.LIMITS, intakes_a_day=2)
    other = medication_of(medication.user, "Aspirin")
    first_two = [log(other, n * HOUR) for n in range(2)]
    ids: dict[str, Any] = {"id": uuid4()}
    third = log(medication, 2 * HOUR, **ids)
    tomorrow = log(medication, 13 * HOUR)
    assert [result.over_limit for result in (*first_two, third, tomorrow)] == [False, False, True, False]
    payloads = DoseEvent.objects.order_by("id").values_list("payload", flat=True)
    assert list(payloads) == [{}, {}, {"over_limit": True}, {}]
    again = log(medication, 2 * HOUR, **ids)
    assert (again.object.id, again.over_limit, DoseLog.objects.count()) == (third.object.id, True, 4)


def test_an_intake_that_is_taken_again_counts_once_and_is_marked_like_a_new_one(
    medication: Medication, settings: Settings
) -> None:
    dose = take(medication)
    undo_dose(dose_id=dose.id, by=medication.user, now=NOW)
    event_id = uuid4()
    settings.LIMITS = replace(settings.LIMITS, intakes_a_day=1)
    assert not take_dose(dose_id=dose.id, by=medication.user, now=NOW).over_limit
    undo_dose(dose_id=dose.id, by=medication.user, now=NOW)
    take(medication_of(medication.user, "Aspirin"))
    for _ in range(2):
        again = take_dose(dose_id=dose.id, by=medication.user, now=NOW, event_id=event_id)
        assert again.over_limit
    assert DoseEvent.objects.get(id=event_id).payload == {"over_limit": True}


@pytest.mark.django_db(transaction=True)
def test_of_two_intakes_at_once_one_is_too_soon() -> None:
    medication = medication_of(person("Ana").user)
    as_needed(medication, min_gap_minutes=60)
    rounds = Barrier(2)

    def tap() -> None:
        rounds.wait()
        take(medication)

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(closing(tap)) for _ in range(2)]
        errors = [type(job.exception()) for job in jobs]
    assert sorted(error.__name__ for error in errors) == ["IntakeTooSoon", "NoneType"]
    assert DoseLog.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(3))
def test_the_same_intake_twice_at_once_is_one(number: int) -> None:
    medication = medication_of(person("Ana").user)
    as_needed(medication, min_gap_minutes=60)
    id, rounds = uuid4(), Barrier(2)

    def tap() -> DoseResult:
        rounds.wait()
        return log_intake(medication_id=medication.id, by=medication.user, now=NOW, id=id)

    with ThreadPoolExecutor(2) as pool:
        results = [job.result() for job in [pool.submit(closing(tap)) for _ in range(2)]]
    assert sorted(result.changed for result in results) == [False, True]
    assert {result.object.id for result in results} == {id} == {DoseLog.objects.get().id}


@pytest.mark.django_db(transaction=True)
def test_taking_an_undone_intake_and_a_new_one_at_once_is_too_soon() -> None:
    medication = medication_of(person("Ana").user)
    as_needed(medication, min_gap_minutes=60)
    back = take(medication)
    undo_dose(dose_id=back.id, by=medication.user, now=NOW)
    rounds = Barrier(2)

    def again() -> None:
        rounds.wait()
        take_dose(dose_id=back.id, by=medication.user, now=NOW)

    def tap() -> None:
        rounds.wait()
        take(medication)

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(closing(job)) for job in (again, tap)]
        errors = [type(job.exception()) for job in jobs]
    assert sorted(error.__name__ for error in errors) == ["IntakeTooSoon", "NoneType"]
    assert DoseLog.objects.filter(status="taken").count() == 1
