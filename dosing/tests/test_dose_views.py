"""Doses and as-needed intakes through the API."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dosing.models import DoseEvent, DoseLog, Schedule
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import dose_due, medication_of, person
from users.actions import Credentials


@pytest.fixture
def schedules(ana: Credentials) -> str:
    return f"/api/v1/medications/{medication_of(ana.user).id}/schedules"


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    return dose_due(ana.user, timezone.now() - timedelta(seconds=1))


def test_today_is_the_users_local_date_in_the_order_of_the_day(db: None) -> None:
    seoul = person("Dora", timezone="Asia/Seoul")
    now = timezone.now()
    for minutes, medicine in ((20, "Later"), (10, "Sooner")):
        dose_due(seoul.user, now + timedelta(minutes=minutes), medicine=medicine)
    DoseLog.objects.update(log_date=now.astimezone(seoul.user.zone).date())
    answer = Client(seoul).get("/api/v1/doses").json()
    assert answer["timezone"] == "Asia/Seoul"
    assert answer["date"] == now.astimezone(seoul.user.zone).date().isoformat()
    assert [dose["medication"]["name"] for dose in answer["results"]] == ["Sooner", "Later"]


def test_a_day_costs_the_same_queries_however_many_doses(
    as_ana: Client, ana: Credentials, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        dose_due(ana.user, timezone.now() - timedelta(seconds=number), medicine=f"Medicine {number}")
    with django_assert_num_queries(1):
        as_ana.get(f"/api/v1/doses?date={timezone.now().date()}")
    with django_assert_num_queries(2):
        as_ana.get("/api/v1/doses")


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"scheduled_time": "25:00"}, "scheduled_time", "invalid"),
        ({"scheduled_time": "8am"}, "scheduled_time", "invalid"),
        ({"scheduled_time": None}, "scheduled_time", "required"),
        ({"quantity": "0.000"}, "quantity", "invalid"),
        ({"quantity": "1e30"}, "quantity", "invalid"),
        ({"quantity": "1_0"}, "quantity", "invalid"),
        ({"quantity": "\u0661"}, "quantity", "invalid"),
        ({"scheduled_time": "8:0"}, "scheduled_time", "invalid"),
        ({"quantity": "NaN"}, "quantity", "invalid"),
        ({"cycle_type": "hourly"}, "cycle_type", "invalid_choice"),
        ({"cycle_value": {"days": ["mon"]}}, "cycle_value", "must_be_null"),
        ({"cycle_type": "weekly"}, "cycle_value", "must_be_object"),
        ({"cycle_type": "weekly", "cycle_value": {"days": ["mo"]}}, "cycle_value.days.0", "unknown_weekday"),
        ({"cycle_type": "monthly", "cycle_value": {"days": [32]}}, "cycle_value.days.0", "out_of_range"),
        ({"start_date": "2026-02-30"}, "start_date", "invalid"),
        ({"start_date": "9999-12-31"}, "start_date", "invalid"),
        ({"start_date": "2026-W47-5"}, "start_date", "invalid"),
        ({"start_date": "2026-02-20", "end_date": "2026-02-19"}, "end_date", "before_start"),
        ({"id": "7"}, "id", "invalid"),
        ({"id": 5}, "id", "invalid"),
    ],
)
def test_a_schedule_that_cannot_be_planned_is_refused_by_field_and_not_stored(
    as_ana: Client, schedules: str, change: dict[str, Any], field: str, code: str
) -> None:
    response = as_ana.post(schedules, {"scheduled_time": "08:00"} | change, format="json")
    assert response.status_code == 400
    assert [(error["field"], error["code"]) for error in response.json()["errors"]] == [(field, code)]
    assert not Schedule.objects.exists()


def test_an_intake_sent_again_is_the_same_also_when_undone_or_its_medication_deleted(
    as_ana: Client, as_cleo: Client, ana: Credentials
) -> None:
    body = {"id": str(uuid4()), "medication_id": str(medication_of(ana.user).id)}
    assert as_ana.post("/api/v1/doses", body, format="json").status_code == 201
    as_ana.post(f"/api/v1/doses/{body['id']}/undo")
    back = as_ana.post("/api/v1/doses", body, format="json")
    assert (back.status_code, back.json()["status"]) == (200, "pending")
    as_ana.delete(f"/api/v1/medications/{body['medication_id']}")
    assert as_ana.post("/api/v1/doses", body, format="json").status_code == 200
    assert as_cleo.post("/api/v1/doses", body, format="json").json()["type"] == "IdConflict"
    assert DoseEvent.objects.count() == 2


def test_take_skip_and_undo(as_ana: Client, ana: Credentials, dose: DoseLog) -> None:
    path = f"/api/v1/doses/{dose.id}"
    taken = as_ana.post(f"{path}/take", {"quantity": "0.5", "note": "milk"}, format="json").json()
    assert (taken["status"], taken["quantity"], taken["note"]) == ("taken", "0.5", "milk")
    assert taken["recorded_by"] == str(ana.user.id)
    refused = as_ana.post(f"{path}/skip", {}, format="json")
    assert (refused.status_code, refused.json()["type"]) == (409, "InvalidTransition")
    undone = as_ana.post(f"{path}/undo").json()
    assert (undone["status"], undone["quantity"]) == ("pending", "1")
    skipped = as_ana.post(f"{path}/skip", {"reason": "felt sick"}, format="json").json()
    assert (skipped["status"], skipped["skip_reason"]) == ("skipped", "felt sick")
    assert DoseEvent.objects.count() == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"event_id": "x"}, "event_id"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": "2026-11-21T08:00:00"}, "occurred_at"),
        ({"occurred_at": "2026-11-21"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00Z"}, "occurred_at"),
        ({"occurred_at": "2099-01-01T00:00:00Z"}, "occurred_at"),
        ({"quantity": "-1"}, "quantity"),
        ({"note": "a\u0000"}, "note"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused_by_field(
    as_ana: Client, dose: DoseLog, body: dict[str, Any], field: str
) -> None:
    response = as_ana.post(f"/api/v1/doses/{dose.id}/take", body, format="json")
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert DoseLog.objects.get().status == "pending"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "medications/{medication}", None),
        ("patch", "medications/{medication}", {"name": "Stolen"}),
        ("delete", "medications/{medication}", None),
        ("get", "medications/{medication}/schedules", None),
        ("post", "medications/{medication}/schedules", {"scheduled_time": "08:00"}),
        ("get", "schedules/{schedule}", None),
        ("patch", "schedules/{schedule}", {"scheduled_time": "08:00"}),
        ("delete", "schedules/{schedule}", None),
        ("get", "schedules/{schedule}/preview", None),
        ("post", "doses/{dose}/take", {}),
        ("post", "doses/{dose}/skip", {}),
        ("post", "doses/{dose}/undo", {}),
        ("post", "doses/{dose}/snooze", {}),
        ("post", "doses/{dose}/amend", {}),
        ("post", "doses", {"medication_id": "{medication}"}),
        ("post", "medications/{medication}/pause", {}),
        ("post", "medications/{medication}/resume", {}),
        ("post", "medications/{medication}/clone", {}),
    ],
)
def test_a_stranger_sees_404_and_changes_nothing(
    as_cleo: Client, as_nobody: Client, dose: DoseLog, method: str, path: str, body: dict[str, Any] | None
) -> None:
    before = [list(model.objects.values()) for model in (Schedule, DoseLog, DoseEvent)]
    url = "/api/v1/" + path.format(medication=dose.medication_id, schedule=dose.schedule_id, dose=dose.id)
    body = body and {name: value.format(medication=dose.medication_id) for name, value in body.items()}
    assert getattr(as_cleo, method)(url, body, format="json").status_code == 404
    assert getattr(as_nobody, method)(url, body, format="json").status_code == 401
    assert [list(model.objects.values()) for model in (Schedule, DoseLog, DoseEvent)] == before


def test_an_id_may_be_written_in_upper_case(as_ana: Client, dose: DoseLog) -> None:
    assert as_ana.post(f"/api/v1/doses/{str(dose.id).upper()}/take").status_code == 200


def test_snooze_and_amend(as_ana: Client, dose: DoseLog) -> None:
    path = f"/api/v1/doses/{dose.id}"
    before = timezone.now()
    snoozed = as_ana.post(f"{path}/snooze", {"minutes": 15}, format="json").json()
    until = datetime.fromisoformat(snoozed["snoozed_until"])
    assert snoozed["status"] == "pending"
    assert before <= until - timedelta(minutes=15) <= timezone.now()
    assert (
        as_ana.post(f"{path}/snooze", {}, format="json").json()["snoozed_until"] != snoozed["snoozed_until"]
    )
    for minutes in (0, 241, "soon", None):
        refused = as_ana.post(f"{path}/snooze", {"minutes": minutes}, format="json")
        assert [error["field"] for error in refused.json()["errors"]] == ["minutes"]
    early = as_ana.post(f"{path}/amend", {"note": "x"}, format="json")
    assert (early.status_code, early.json()["type"]) == (409, "InvalidTransition")
    as_ana.post(f"{path}/take")
    amended = as_ana.post(f"{path}/amend", {"quantity": "2", "note": "two"}, format="json").json()
    assert (amended["status"], amended["quantity"], amended["note"]) == ("taken", "2", "two")
    refused = as_ana.post(f"{path}/amend", {"reason": "x"}, format="json")
    assert [error["code"] for error in refused.json()["errors"]] == ["not_applicable"]


def test_as_needed_intakes(as_ana: Client, ana: Credentials, schedules: str) -> None:
    limits = {"min_gap_minutes": 240, "max_per_day": 4}
    as_needed = {"scheduled_time": "00:00", "cycle_type": "as_needed", "cycle_value": limits}
    schedule = as_ana.post(schedules, as_needed, format="json").json()
    assert schedule["next_due_at"] is None
    body = {"id": str(uuid4()), "medication_id": schedule["medication_id"], "quantity": "1.5"}
    made = [as_ana.post("/api/v1/doses", body, format="json") for _ in range(2)]
    assert [response.status_code for response in made] == [201, 200]
    dose = made[0].json()
    assert made[1].json() == dose
    assert (dose["schedule_id"], dose["due_at"], dose["status"], dose["quantity"]) == (
        None,
        None,
        "taken",
        "1.5",
    )
    again = {"medication_id": schedule["medication_id"], "schedule_id": schedule["id"]}
    too_soon = as_ana.post("/api/v1/doses", again, format="json")
    assert (too_soon.status_code, too_soon.json()["type"]) == (409, "IntakeTooSoon")
    allowed = datetime.fromisoformat(too_soon.json()["next_allowed_at"])
    assert allowed - datetime.fromisoformat(dose["taken_at"]) == timedelta(hours=4)
    assert as_ana.post("/api/v1/doses", again | {"override": True}, format="json").status_code == 201
    Schedule.objects.update(cycle_value={"max_per_day": 2})
    too_often = as_ana.post("/api/v1/doses", again, format="json")
    assert (too_often.status_code, too_often.json()["type"]) == (409, "DailyLimitReached")
    assert len(as_ana.get("/api/v1/doses").json()["results"]) == 2
    as_ana.post(f"/api/v1/doses/{dose['id']}/undo")
    assert len(as_ana.get("/api/v1/doses").json()["results"]) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"medication_id": "x"}, "medication_id"),
        ({"medication_id": None}, "medication_id"),
        ({"taken_at": "2099-01-01T00:00:00Z"}, "taken_at"),
        ({"quantity": "0"}, "quantity"),
        ({"id": 1}, "id"),
        ({"override": "perhaps"}, "override"),
    ],
)
def test_an_intake_that_makes_no_sense_is_refused_by_field(
    as_ana: Client, ana: Credentials, change: dict[str, Any], field: str
) -> None:
    body = {"medication_id": str(medication_of(ana.user).id)} | change
    refused = as_ana.post("/api/v1/doses", body, format="json")
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert not DoseLog.objects.exists()
