from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dosing.models import DoseEvent, DoseLog, Schedule
from medications.models import Medication
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import dose_due, medication_of, person, schedule_at
from users.actions import Credentials
from users.models import User


@pytest.fixture
def schedules(ana: Credentials) -> str:
    return f"/api/v1/medications/{medication_of(ana.user).id}/schedules"


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    return dose_due(ana.user, timezone.now() - timedelta(seconds=1))


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


def test_today_is_the_patients_today_and_in_the_order_of_the_day(db: None) -> None:
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
        ({"scheduled_time": None}, "scheduled_time", "null"),
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


def test_an_intake_sent_again_is_the_same_also_when_taken_back_or_its_medicine_deleted(
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
    changed = as_ana.patch(path, {"scheduled_time": "09:30", "version": 99}, format="json").json()
    assert (changed["scheduled_time"], changed["version"]) == ("09:30", 2)
    bad = as_ana.patch(path, {"end_date": "2020-01-01"}, format="json")
    assert [error["code"] for error in bad.json()["errors"]] == ["before_start"]
    assert as_ana.delete(path).status_code == 204
    assert as_ana.get(path).status_code == 404
    assert as_ana.get(schedules).json()["results"] == []


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


def test_deleting_a_medication_ends_its_doses_through_the_api(as_ana: Client, schedules: str) -> None:
    as_ana.post(schedules, {"scheduled_time": "08:00"}, format="json")
    assert as_ana.delete(schedules.removesuffix("/schedules")).status_code == 204
    assert as_ana.get(schedules).status_code == 404
    assert not DoseLog.objects.filter(due_at__gt=timezone.now()).exists()


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
    assert as_ana.get("/api/v1/me").json() == {name: me[name] for name in me if name != "moved_doses"}


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
    assert as_ana.patch("/api/v1/me", changes, format="json").json()["email"] == ana.user.email
    stored = User.objects.values().get(id=ana.user.id)
    assert (stored["is_staff"], stored["is_active"], stored["password"]) == (False, True, ana.user.password)


def test_a_zone_change_of_nobody_is_refused(as_nobody: Client) -> None:
    assert as_nobody.patch("/api/v1/me", {"timezone": "UTC"}, format="json").status_code == 401


@pytest.fixture
def preview_path(ana: Credentials) -> str:
    User.objects.filter(id=ana.user.id).update(timezone="America/New_York")
    schedule = schedule_at(
        medication_of(ana.user), time(2, 30), now=timezone.now(), start_date=date(2027, 3, 1), quantity="1.50"
    )
    return f"/api/v1/schedules/{schedule.id}/preview"


def test_a_preview_shows_the_occurrences_in_both_clocks_and_what_may_surprise(
    as_ana: Client, preview_path: str
) -> None:
    answer = as_ana.get(f"{preview_path}?from=2027-03-13&to=2027-03-14").json()
    schedule_id = preview_path.split("/")[-2]
    assert answer == {
        "schedule_id": schedule_id,
        "timezone": "America/New_York",
        "from": "2027-03-13",
        "to": "2027-03-14",
        "is_active": True,
        "results": [
            {
                "log_date": "2027-03-13",
                "scheduled_time": "02:30",
                "due_at": "2027-03-13T07:30:00Z",
                "due_at_local": "2027-03-13T02:30:00-05:00",
                "quantity": "1.5",
            },
            {
                "log_date": "2027-03-14",
                "scheduled_time": "02:30",
                "due_at": "2027-03-14T07:00:00Z",
                "due_at_local": "2027-03-14T03:00:00-04:00",
                "quantity": "1.5",
            },
        ],
        "warnings": [
            {
                "code": "moved_by_dst",
                "log_date": "2027-03-14",
                "due_at": "2027-03-14T07:00:00Z",
                "detail": "The clocks change: 02:30 does not exist on this day, so the dose is due at 03:00.",
            },
            {
                "code": "closer_than_usual",
                "log_date": "2027-03-14",
                "due_at": "2027-03-14T07:00:00Z",
                "detail": "23 hours 30 minutes after the dose before; usually it is 24 hours.",
            },
        ],
    }


def test_a_preview_begins_today_and_shows_thirty_days_more(as_ana: Client, preview_path: str) -> None:
    before = timezone.now().astimezone(ZoneInfo("America/New_York")).date()
    answer = as_ana.get(preview_path).json()
    after = timezone.now().astimezone(ZoneInfo("America/New_York")).date()
    assert answer["from"] in (before.isoformat(), after.isoformat())
    assert date.fromisoformat(answer["to"]) - date.fromisoformat(answer["from"]) == timedelta(days=30)
    assert as_ana.get(f"{preview_path}?from=2027-12-31").json()["to"] == "2028-01-30"


def test_a_preview_of_what_is_paused_or_inactive_still_says_what_the_rule_asks_for(
    as_ana: Client, preview_path: str
) -> None:
    path = f"{preview_path}?from=2027-03-01&to=2027-03-07"
    schedule, medicine = Schedule.objects.all(), Medication.objects.all()
    for rows, off, on in (
        (schedule, {"is_active": False}, {"is_active": True}),
        (medicine, {"is_active": False}, {"is_active": True}),
        (medicine, {"paused_at": timezone.now()}, {"paused_at": None}),
    ):
        rows.update(**off)
        answer = as_ana.get(path).json()
        assert (answer["is_active"], len(answer["results"])) == (False, 7)
        rows.update(**on)
    assert as_ana.get(path).json()["is_active"] is True


def test_a_preview_of_an_as_needed_schedule_is_empty(as_ana: Client, preview_path: str) -> None:
    Schedule.objects.update(cycle_type="as_needed")
    answer = as_ana.get(f"{preview_path}?from=2027-03-01&to=2027-03-07").json()
    assert (answer["results"], answer["warnings"]) == ([], [])


def test_an_offset_with_seconds_is_rounded_and_the_instant_kept(as_ana: Client, preview_path: str) -> None:
    User.objects.update(timezone="Asia/Seoul")
    Schedule.objects.update(start_date=date(1905, 1, 1))
    dose = as_ana.get(f"{preview_path}?from=1905-01-01&to=1905-01-01").json()["results"][0]
    assert (dose["due_at"], dose["due_at_local"]) == ("1904-12-31T18:02:08Z", "1905-01-01T02:30:08+08:28")


SPANS = [
    ("from=2027-03-02&to=2027-03-01", "to", "before_start"),
    ("from=2027-01-01&to=2028-02-05", "to", "too_long"),
    ("from=2027-13-01", "from", "invalid"),
    ("from=2027-W01-1", "from", "invalid"),
    ("to=tomorrow", "to", "invalid"),
    ("to=2027-01-01T00:00:00Z", "to", "invalid"),
    ("from=%00", "from", "invalid"),
]


@pytest.mark.parametrize(("query", "field", "code"), SPANS)
def test_a_preview_of_a_span_that_makes_no_sense_is_refused_by_field(
    as_ana: Client, preview_path: str, query: str, field: str, code: str
) -> None:
    assert_refused(as_ana.get(f"{preview_path}?{query}"), field, code)


def test_four_hundred_days_are_one_preview(as_ana: Client, preview_path: str) -> None:
    answer = as_ana.get(f"{preview_path}?from=2027-03-01&to=2028-04-03").json()
    assert len(answer["results"]) == 400
    assert_refused(as_ana.get(f"{preview_path}?from=2027-03-01&to=2028-04-04"), "to", "too_long")


def test_a_preview_is_one_query(
    as_ana: Client, preview_path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        as_ana.get(preview_path)


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        *SPANS,
        ("group_by=year", "group_by", "invalid_choice"),
        ("from=2999-01-01", "from", "invalid"),
        ("from=2000-01-01", "to", "too_long"),
    ],
)
def test_adherence_of_what_makes_no_sense_is_refused_by_field(
    as_ana: Client, query: str, field: str, code: str
) -> None:
    assert_refused(as_ana.get(f"/api/v1/adherence?{query}"), field, code)


@pytest.mark.parametrize("period", ["monthly", "DAILY"])
def test_current_adherence_of_an_unknown_period_is_refused(as_ana: Client, period: str) -> None:
    assert_refused(as_ana.get(f"/api/v1/adherence/current?period={period}"), "period", "invalid_choice")


def test_an_answer_shows_in_adherence_at_once(as_ana: Client, dose: DoseLog) -> None:
    day = dose.log_date.isoformat()
    assert as_ana.get(f"/api/v1/adherence?from={day}&to={day}").json()["total"]["taken"] == 0
    as_ana.post(f"/api/v1/doses/{dose.id}/take", {}, format="json")
    answer = as_ana.get(f"/api/v1/adherence?from={day}&to={day}").json()
    assert answer["group_by"] == "day"
    assert (answer["total"]["due"], answer["total"]["on_time"], answer["total"]["rate"]) == (1, 1, 1)
    assert as_ana.get("/api/v1/adherence/current").json()["period"] == "daily"


ADHERENCE = [
    "adherence",
    "adherence?group_by=week",
    "adherence?group_by=month",
    "adherence?group_by=medication",
    "adherence/current",
    "adherence/current?period=weekly",
]


@pytest.mark.parametrize("path", ADHERENCE)
def test_nobody_elses_doses_are_in_adherence(
    as_cleo: Client, as_nobody: Client, dose: DoseLog, path: str
) -> None:
    empty = as_cleo.get(f"/api/v1/{path}").json()
    figures = [empty.get("total", empty), *(empty.get("results") or [])]
    assert {(figure["due"], figure.get("target", 0)) for figure in figures} == {(0, 0)}
    assert as_nobody.get(f"/api/v1/{path}").status_code == 401


@pytest.mark.parametrize("path", ADHERENCE)
def test_adherence_is_one_query_however_many_medicines(
    as_ana: Client, ana: Credentials, path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(4):
        dose_due(ana.user, timezone.now() - timedelta(seconds=number), medicine=f"Medicine {number}")
    with django_assert_num_queries(2):
        as_ana.get(f"/api/v1/{path}")


def assert_refused(response: Any, field: str, code: str) -> None:
    assert (response.status_code, response.json()["type"]) == (400, "ValidationError")
    assert [(error["field"], error["code"]) for error in response.json()["errors"]] == [(field, code)]
