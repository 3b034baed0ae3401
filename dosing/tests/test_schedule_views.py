"""Schedules, pausing and time zones through the API."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from dosing.actions.doses import take_dose
from dosing.dose_ids import dose_id
from dosing.models import DoseLog, Schedule
from dosing.tests.refusals import assert_refused
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of
from users.actions import Credentials
from users.models import User


@pytest.fixture
def schedules(ana: Credentials) -> str:
    return f"/api/v1/medications/{medication_of(ana.user).id}/schedules"


def test_a_schedule_is_planned_before_the_answer_returns(as_ana: Client, schedules: str) -> None:
    soon = (timezone.now() + timedelta(minutes=2)).strftime("%H:%M")
    response = as_ana.post(schedules, {"scheduled_time": soon, "quantity": "1.500"}, format="json")
    assert response.status_code == 201
    assert response.json()["quantity"] == "1.5"
    days = [
        as_ana.get(f"/api/v1/doses?date={date}").json()
        for date in DoseLog.objects.values_list("log_date", flat=True)
    ]
    assert [day["results"][0]["scheduled_time"] for day in days] == [soon] * len(days)


def test_the_same_schedule_twice_is_one_schedule_and_another_body_is_a_conflict(
    as_ana: Client, schedules: str
) -> None:
    body = {"id": str(uuid4()), "scheduled_time": "08:00", "start_date": "2026-01-01"}
    assert [as_ana.post(schedules, body, format="json").status_code for _ in range(2)] == [201, 200]
    conflict = as_ana.post(schedules, body | {"scheduled_time": "09:00"}, format="json")
    assert (conflict.status_code, conflict.json()["type"]) == (409, "IdConflict")
    assert Schedule.objects.count() == 1


def test_a_schedule_created_again_on_another_day_is_the_same_one(
    as_ana: Client, schedules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"id": str(uuid4()), "scheduled_time": "08:00"}
    today = timezone.now()
    for days, status in ((0, 201), (1, 200)):
        now = today + timedelta(days=days)
        monkeypatch.setattr("dosing.views.schedules.database_now", lambda now=now: now)
        assert as_ana.post(schedules, body, format="json").status_code == status


def test_a_schedule_created_again_after_a_change_is_the_changed_one(as_ana: Client, schedules: str) -> None:
    end = (timezone.now() + timedelta(days=1)).date().isoformat()
    body = {"id": str(uuid4()), "scheduled_time": "08:00", "quantity": "1.50", "end_date": end}
    as_ana.post(schedules, body, format="json")
    as_ana.patch(f"/api/v1/schedules/{body['id']}", {"scheduled_time": "09:00"}, format="json")
    again = as_ana.post(schedules, body | {"quantity": "1.5"}, format="json")
    assert (again.status_code, again.json()["scheduled_time"]) == (200, "09:00")
    other = as_ana.post(schedules, body | {"scheduled_time": "09:00"}, format="json")
    assert (other.status_code, other.json()["type"]) == (409, "IdConflict")


def test_a_schedule_created_again_when_it_is_over_is_still_the_same_one(
    as_ana: Client, schedules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = timezone.now()
    body = {"id": str(uuid4()), "scheduled_time": "08:00", "end_date": today.date().isoformat()}
    for days, status in ((0, 201), (2, 200)):
        monkeypatch.setattr(
            "dosing.views.schedules.database_now", lambda days=days: today + timedelta(days=days)
        )
        assert as_ana.post(schedules, body, format="json").status_code == status


def test_a_deleted_schedule_is_not_created_again(as_ana: Client, schedules: str) -> None:
    body = {"id": str(uuid4()), "scheduled_time": "08:00"}
    as_ana.post(schedules, body, format="json")
    as_ana.delete(f"/api/v1/schedules/{body['id']}")
    conflict = as_ana.post(schedules, body, format="json")
    assert (conflict.status_code, conflict.json()["type"]) == (409, "IdConflict")


def test_a_damaged_schedule_is_an_error_of_its_own(as_ana: Client, schedules: str) -> None:
    schedule = as_ana.post(schedules, {"scheduled_time": "08:00"}, format="json").json()
    Schedule.objects.update(cycle_type="weekly")
    refused = as_ana.get(f"/api/v1/schedules/{schedule['id']}/preview")
    assert [error["field"] for error in refused.json()["errors"]] == ["cycle_value"]
    assert as_ana.get("/api/v1/adherence/current").status_code == 200


def test_editing_and_deleting_a_schedule(as_ana: Client, schedules: str) -> None:
    schedule = as_ana.post(schedules, {"scheduled_time": "08:00"}, format="json").json()
    path = f"/api/v1/schedules/{schedule['id']}"
    changed = as_ana.patch(path, {"scheduled_time": "09:30", "version": 1}, format="json").json()
    assert (changed["scheduled_time"], changed["version"]) == ("09:30", 2)
    bad = as_ana.patch(path, {"end_date": "2020-01-01"}, format="json")
    assert [error["code"] for error in bad.json()["errors"]] == ["before_start"]
    assert as_ana.delete(path).status_code == 204
    assert as_ana.get(path).status_code == 404
    assert as_ana.get(schedules).json()["results"] == []


def test_deleting_a_medication_ends_its_doses_through_the_api(as_ana: Client, schedules: str) -> None:
    as_ana.post(schedules, {"scheduled_time": "08:00"}, format="json")
    assert as_ana.delete(schedules.removesuffix("/schedules")).status_code == 204
    assert as_ana.get(schedules).status_code == 404
    assert not DoseLog.objects.filter(due_at__gt=timezone.now()).exists()


def test_pausing_and_resuming(as_ana: Client, schedules: str) -> None:
    medication = schedules.removesuffix("/schedules")
    as_ana.post(schedules, {"scheduled_time": "08:00"}, format="json")
    planned = DoseLog.objects.count()
    assert planned
    assert as_ana.post(f"{medication}/pause").json()["paused_at"] is not None
    assert not DoseLog.objects.exists()
    assert as_ana.get(schedules).json()["results"][0]["next_due_at"] is None
    assert as_ana.post(f"{medication}/resume").json()["paused_at"] is None
    assert DoseLog.objects.count() == planned


def test_another_time_zone_answers_with_what_moves(as_ana: Client, schedules: str) -> None:
    schedule = as_ana.post(schedules, {"scheduled_time": "12:00"}, format="json").json()
    before = {dose.log_date.isoformat(): dose.due_at for dose in DoseLog.objects.all()}
    me = as_ana.patch("/api/v1/me", {"timezone": "Pacific/Honolulu", "name": "Anna"}, format="json").json()
    assert (me["timezone"], me["name"]) == ("Pacific/Honolulu", "Anna")
    assert {move["schedule_id"] for move in me["moved_doses"]} == {schedule["id"]}
    assert {move["log_date"] for move in me["moved_doses"]} == before.keys()
    for move in me["moved_doses"]:
        due_at = datetime.fromisoformat(move["due_at"])
        assert datetime.fromisoformat(move["due_at_before"]) == before[move["log_date"]]
        assert due_at - timedelta(hours=10) == before[move["log_date"]]
    assert as_ana.get("/api/v1/me").json() == {
        name: me[name] for name in me if name not in ("moved_doses", "warnings")
    }


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": None}, "timezone"),
        ({"language": "tlh"}, "language"),
        ({"week_start": 0}, "week_start"),
        ({"follow_up_interval_minutes": 4}, "follow_up_interval_minutes"),
        ({"follow_up_cap": 11}, "follow_up_cap"),
        ({"name": "x" * 101}, "name"),
        ({"private_push_text": "perhaps"}, "private_push_text"),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused_by_field(
    as_ana: Client, change: dict[str, Any], field: str
) -> None:
    before = as_ana.get("/api/v1/me").json()
    refused = as_ana.patch("/api/v1/me", change, format="json")
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert as_ana.get("/api/v1/me").json() == before


def test_what_is_not_in_the_profile_cannot_be_set(as_ana: Client, ana: Credentials) -> None:
    changes = {
        "email": "x@example.com",
        "is_staff": True,
        "id": str(uuid4()),
        "is_active": False,
        "password": "x",
    }
    answer = as_ana.patch("/api/v1/me", changes, format="json")
    assert {error["field"] for error in answer.json()["errors"]} == changes.keys()
    stored = User.objects.values().get(id=ana.user.id)
    assert stored["email"] == ana.user.email
    assert (stored["is_staff"], stored["is_active"], stored["password"]) == (False, True, ana.user.password)


def test_a_zone_change_without_a_session_is_refused(as_nobody: Client) -> None:
    assert as_nobody.patch("/api/v1/me", {"timezone": "UTC"}, format="json").status_code == 401


def test_an_as_needed_schedule_has_no_time_of_day(as_ana: Client, schedules: str) -> None:
    response = as_ana.post(schedules, {"cycle_type": "as_needed"}, format="json")
    assert (response.status_code, response.json()["scheduled_time"]) == (201, None)
    assert_refused(as_ana.post(schedules, {}, format="json"), "scheduled_time", "required")
    path = f"/api/v1/schedules/{response.json()['id']}"
    assert_refused(as_ana.patch(path, {"cycle_type": "daily"}, format="json"), "scheduled_time", "required")
    daily = as_ana.patch(path, {"cycle_type": "daily", "scheduled_time": "08:00"}, format="json")
    assert (daily.status_code, daily.json()["scheduled_time"]) == (200, "08:00")
    assert_refused(as_ana.patch(path, {"scheduled_time": None}, format="json"), "scheduled_time", "required")
    as_needed = as_ana.patch(path, {"cycle_type": "as_needed", "scheduled_time": None}, format="json")
    assert (as_needed.status_code, as_needed.json()["scheduled_time"]) == (200, None)
    medication = schedules.removesuffix("/schedules")
    intake = {"medication_id": medication.rsplit("/", 1)[-1], "schedule_id": as_needed.json()["id"]}
    assert as_ana.post("/api/v1/doses", intake, format="json").status_code == 201
    clone = as_ana.post(f"{medication}/clone", {}, format="json").json()
    (copied,) = as_ana.get(f"/api/v1/medications/{clone['id']}/schedules").json()["results"]
    assert (copied["cycle_type"], copied["scheduled_time"]) == ("as_needed", None)


TODAY = datetime(2026, 12, 10, 3, tzinfo=UTC)  # noon in Seoul
NEVER_DUE = [
    {"cycle_type": "dates", "cycle_value": {"dates": ["2026-12-20"]}, "start_date": "2026-12-21"},
    {
        "cycle_type": "dates",
        "cycle_value": {"dates": ["2026-12-20"]},
        "start_date": "2026-12-10",
        "end_date": "2026-12-19",
    },
    {"cycle_type": "weekly", "cycle_value": {"days": ["wed"]}, "end_date": "2026-12-15"},
    {
        "cycle_type": "taper",
        "cycle_value": {"steps": [{"days": 9, "quantity": "1"}]},
        "start_date": "2026-12-01",
    },
    {"end_date": "2026-12-10"},
    {"start_date": "2026-11-01", "end_date": "2026-11-30"},
]
DUE = [
    {},
    {"end_date": "2026-12-11"},
    {"cycle_type": "dates", "cycle_value": {"dates": ["2026-12-20"]}},
    {"cycle_type": "weekly", "cycle_value": {"days": ["wed"]}, "end_date": "2026-12-16"},
    {"cycle_type": "as_needed"},
    {"is_active": False},
]


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch, ana: Credentials) -> None:
    User.objects.filter(id=ana.user.id).update(timezone="Asia/Seoul")
    monkeypatch.setattr("dosing.views.schedules.database_now", lambda: TODAY)


@pytest.mark.usefixtures("today")
@pytest.mark.parametrize("rule", NEVER_DUE + DUE)
def test_a_rule_that_will_never_be_due_is_saved_with_a_warning(
    as_ana: Client, schedules: str, rule: dict[str, Any]
) -> None:
    expected = ["never_due"] if rule in NEVER_DUE else []
    made = as_ana.post(schedules, {"scheduled_time": "08:00"} | rule, format="json")
    assert made.status_code == 201
    assert [warning["code"] for warning in made.json()["warnings"]] == expected
    daily = as_ana.post(schedules, {"scheduled_time": "08:00"}, format="json").json()
    changed = as_ana.patch(f"/api/v1/schedules/{daily['id']}", rule, format="json")
    assert changed.status_code == 200
    assert [warning["code"] for warning in changed.json()["warnings"]] == expected


@pytest.mark.usefixtures("today")
@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        (NEVER_DUE[0], "None of the dates of this schedule is on or after its start, 2026-12-21."),
        (
            NEVER_DUE[1],
            "None of the dates of this schedule is from 2026-12-10 to 2026-12-19, its start and end.",
        ),
        (
            NEVER_DUE[4],
            "All doses of this schedule are in the past. A later end or later dates make it due.",
        ),
    ],
)
def test_the_warning_says_why_it_is_never_due(
    as_ana: Client, schedules: str, rule: dict[str, Any], detail: str
) -> None:
    body = {"id": str(uuid4()), "scheduled_time": "08:00"} | rule
    first, again = (as_ana.post(schedules, body, format="json").json()["warnings"] for _ in range(2))
    assert first == [{"code": "never_due", "due_at": None, "previous_due_at": None, "detail": detail}]
    assert again == first


@pytest.mark.usefixtures("today")
@pytest.mark.parametrize(
    ("change", "next_due_at", "detail"),
    [
        # Today's dose was due at 20:00 in Seoul, and it is 21:00.
        (
            {"scheduled_time": "08:00"},
            "2026-12-10T23:00:00Z",
            "12 hours after the dose before; usually it is 24 hours.",
        ),
        ({"scheduled_time": "20:30"}, None, ""),
        ({"scheduled_time": "20:00"}, None, ""),
        ({"quantity": "2"}, None, ""),
        (
            {"cycle_type": "interval", "cycle_value": {"every": 5}, "start_date": "2026-12-07"},
            "2026-12-12T11:00:00Z",
            "2 days after the dose before; usually it is 5 days.",
        ),
    ],
)
def test_an_edit_that_brings_the_next_dose_close_to_the_last_one_is_warned_of(
    as_ana: Client,
    ana: Credentials,
    schedules: str,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    next_due_at: str | None,
    detail: str,
) -> None:
    now = datetime(2026, 12, 10, 10, tzinfo=UTC)
    monkeypatch.setattr("dosing.views.schedules.database_now", lambda: now)
    made = as_ana.post(schedules, {"scheduled_time": "20:00"}, format="json").json()
    assert made["warnings"] == []
    now += timedelta(hours=2)
    # A dose that was not taken would go with a rule that does not have it.
    take_dose(dose_id=dose_id(UUID(made["id"]), date(2026, 12, 10)), by=ana.user, now=now)
    changed = as_ana.patch(f"/api/v1/schedules/{made['id']}", change, format="json").json()
    closer = {
        "code": "closer_than_usual",
        "due_at": next_due_at,
        "previous_due_at": "2026-12-10T11:00:00Z",
        "detail": detail,
    }
    assert changed["warnings"] == ([closer] if next_due_at else [])
