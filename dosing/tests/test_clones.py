from concurrent.futures import ThreadPoolExecutor
from datetime import date, time, timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dosing.actions.clones import clone_medication
from dosing.actions.schedules import delete_medication, delete_schedule, pause_medication
from dosing.models import DoseLog, Schedule
from medications.models import Medication
from medtrack.database.results import ActionResult
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, person, schedule_at, utc
from medtrack.tests.support.workers import closing
from users.actions import Credentials

NOW = utc(2026, 11, 20, 12)
TODAY = date(2026, 11, 20)
LATER = NOW + timedelta(days=30)


@pytest.fixture
def medication(ana: Credentials) -> Medication:
    medication = medication_of(ana.user, dosage="500 mg", memo="with food", stock_quantity=20)
    schedule_at(medication, time(8), now=NOW, quantity="1.5", reminder_enabled=False)
    value = {"every": 2}
    schedule_at(medication, time(20), now=NOW, cycle_type="interval", cycle_value=value, meal_relation="with")
    return medication


def clone(medication: Medication, **fields: Any) -> Medication:
    return clone_medication(medication_id=medication.id, by=medication.user, now=LATER, **fields).object


def schedules_of(medication: Medication, *names: str) -> list[tuple[Any, ...]]:
    return list(Schedule.objects.filter(medication=medication).order_by("scheduled_time").values_list(*names))


def test_a_clone_is_a_medication_of_its_own_with_the_same_schedules_from_today(
    medication: Medication,
) -> None:
    copy = clone(medication)
    assert copy.id != medication.id
    for name in ("user_id", "name", "dosage", "memo", "form", "color_tag"):
        assert getattr(copy, name) == getattr(medication, name)
    assert copy.stock_quantity is None
    same = ("scheduled_time", "cycle_type", "cycle_value", "quantity", "meal_relation", "reminder_enabled")
    assert schedules_of(copy, *same) == schedules_of(medication, *same)
    assert schedules_of(copy, "start_date") == [(LATER.date(),)] * 2
    assert DoseLog.objects.filter(medication=copy).count() == 2
    assert clone(medication, name="Metformin XR").name == "Metformin XR"


def test_what_is_over_stays_behind_and_what_is_to_come_comes_then(medication: Medication) -> None:
    gone = schedule_at(medication, time(9), now=NOW)
    schedule_at(medication, time(10), now=NOW, end_date=LATER.date() - timedelta(days=1))
    schedule_at(medication, time(11), now=NOW, end_date=LATER.date())
    schedule_at(medication, time(12), now=NOW, start_date=date(2027, 6, 1))
    schedule_at(medication, time(13), now=NOW, is_active=False)
    delete_schedule(schedule_id=gone.id, by=gone.medication.user, now=NOW)
    pause_medication(medication_id=medication.id, by=medication.user, now=NOW)
    copy = clone(medication)
    assert copy.paused_at is None
    assert schedules_of(copy, "scheduled_time", "start_date", "end_date", "is_active") == [
        (time(8), LATER.date(), None, True),
        (time(11), LATER.date(), LATER.date(), True),
        (time(12), date(2027, 6, 1), None, True),
        (time(13), LATER.date(), None, False),
        (time(20), LATER.date(), None, True),
    ]


def test_a_clone_starts_on_the_users_local_date(db: None) -> None:
    medication = medication_of(person("Dora", timezone="Asia/Seoul").user)
    schedule_at(medication, time(8), now=NOW)
    copy = clone_medication(
        medication_id=medication.id, by=medication.user, now=NOW + timedelta(hours=6)
    ).object
    assert schedules_of(copy, "start_date") == [(date(2026, 11, 21),)]


def test_cloning_through_the_api_once_and_again(as_ana: Client, medication: Medication) -> None:
    path = f"/api/v1/medications/{medication.id}/clone"
    body = {"id": str(uuid4()), "name": "Metformin XR"}
    made = [as_ana.post(path, body, format="json") for _ in range(2)]
    assert [(answer.status_code, answer.json()["id"]) for answer in made] == [
        (201, body["id"]),
        (200, body["id"]),
    ]
    assert made[0].json() == made[1].json()
    assert Schedule.objects.count() == 4
    for other, url in (
        (body | {"name": "Other"}, path),
        ({"id": body["id"]}, path),
        (body, "/api/v1/medications"),
        (body, f"/api/v1/medications/{body['id']}/clone"),
    ):
        assert as_ana.post(url, other, format="json").json()["type"] == "IdConflict"
    assert as_ana.post(path).status_code == 201
    assert [e["field"] for e in as_ana.post(path, {"name": ""}, format="json").json()["errors"]] == ["name"]


def test_a_medication_of_another_user_or_a_deleted_one_is_not_cloned(
    as_ana: Client, as_cleo: Client, as_nobody: Client, medication: Medication
) -> None:
    path = f"/api/v1/medications/{medication.id}/clone"
    assert as_cleo.post(path).status_code == 404
    assert as_nobody.post(path).status_code == 401
    delete_medication(medication_id=medication.id, by=medication.user, now=timezone.now())
    assert as_ana.post(path).status_code == 404
    assert Medication.objects.count() == 1


def test_cloning_costs_the_same_queries_however_many_schedules(
    as_ana: Client, medication: Medication, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for hour in range(5):
        schedule_at(medication, time(hour), now=NOW)
    with django_assert_num_queries(26):
        as_ana.post(f"/api/v1/medications/{medication.id}/clone")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(2))
def test_the_same_clone_twice_at_once_is_one(number: int) -> None:
    medication = medication_of(person("Ana").user)
    schedule_at(medication, time(8), now=NOW)
    id, rounds = uuid4(), Barrier(2)

    def tap() -> ActionResult[Medication]:
        rounds.wait()
        return clone_medication(medication_id=medication.id, by=medication.user, now=NOW, id=id)

    with ThreadPoolExecutor(2) as pool:
        results = [job.result() for job in [pool.submit(closing(tap)) for _ in range(2)]]
    assert sorted(result.changed for result in results) == [False, True]
    assert Schedule.objects.filter(medication_id=id).count() == 1
