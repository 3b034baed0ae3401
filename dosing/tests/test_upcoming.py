"""Doses to come, written or not: the day, the list for a phone's alarms, one dose, and when the next is due."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from dosing.actions.doses import skip_dose, snooze_dose, take_dose
from dosing.cycles import Occurrence
from dosing.dose_ids import dose_id
from dosing.models import DoseLog, Schedule
from dosing.planning import plan_due
from dosing.replanning import replan
from dosing.status import DoseStatus
from dosing.unwritten import find_unwritten, planned_dose
from medications.models import Medication
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, schedule_at, utc
from users.actions import Credentials
from users.models import User

# A Friday. What is due before 18:00 on Saturday is planned.
NOW = utc(2026, 11, 20, 6)


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock of the reads."""

    def set_clock(now: datetime) -> None:
        for view in ("doses", "schedules", "adherence"):
            monkeypatch.setattr(f"dosing.views.{view}.process_now", lambda: now)

    set_clock(NOW)
    return set_clock


def schedule_of(user: User, at: time = time(8), *, medicine: str = "Metformin", **fields: Any) -> Schedule:
    medication = Medication.objects.filter(user=user, name=medicine).first() or medication_of(user, medicine)
    return schedule_at(medication, at, now=NOW, **fields)


def written_ahead(schedule: Schedule, log_date: date, **fields: Any) -> DoseLog:
    """A dose that is written before its time, as one that is taken early."""
    due_at = utc(log_date.year, log_date.month, log_date.day, 8)
    dose = planned_dose(schedule, Occurrence(log_date, due_at, schedule.quantity))
    dose.status, dose.answer_by = DoseStatus.PENDING, due_at + timedelta(hours=4)
    for name, value in fields.items():
        setattr(dose, name, value)
    dose.save(force_insert=True)
    return dose


def taken(user: User, at: datetime) -> dict[str, Any]:
    return {"status": DoseStatus.TAKEN, "taken_at": at, "recorded_by_id": user.id}


def day(client: Client, date: str) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = client.get(f"/api/v1/doses?date={date}").json()["results"]
    return results


def upcoming(client: Client, days: int | None = None) -> Any:
    return client.get("/api/v1/doses/upcoming" + (f"?days={days}" if days else "")).json()


# The day


def test_a_day_shows_what_will_be_written_under_the_id_that_it_will_have(
    as_ana: Client, ana: Credentials
) -> None:
    schedule = schedule_of(ana.user, quantity="1.5")
    (shown,) = day(as_ana, "2026-12-25")
    assert shown == {
        "id": str(dose_id(schedule.id, date(2026, 12, 25))),
        "schedule_id": str(schedule.id),
        "medication": {
            "id": str(schedule.medication_id),
            "name": "Metformin",
            "dosage": "",
            "strength": "",
            "form": "tablet",
            "unit": "",
            "color_tag": "#1D9E75",
            "current_name": "Metformin",
        },
        "log_date": "2026-12-25",
        "scheduled_time": "08:00",
        "due_at": "2026-12-25T08:00:00Z",
        "quantity": "1.5",
        "status": "planned",
        "taken_at": None,
        "snoozed_until": None,
        "recorded_by": None,
        "skip_reason": "",
        "note": "",
        "also_on": None,
    }
    assert as_ana.get(f"/api/v1/doses/{shown['id']}").json() == shown
    plan_due(now=utc(2026, 12, 24, 6))
    assert day(as_ana, "2026-12-25") == [shown | {"status": "pending"}]
    assert as_ana.get(f"/api/v1/doses/{shown['id']}").json()["status"] == "pending"


def test_what_is_written_and_what_is_not_are_in_one_order(as_ana: Client, ana: Credentials) -> None:
    for hour in (23, 8, 20, 12):
        schedule_of(ana.user, time(hour), medicine=f"Medicine {hour}")
    tomorrow = [(dose["medication"]["name"], dose["status"]) for dose in day(as_ana, "2026-11-21")]
    assert tomorrow == [
        ("Medicine 8", "pending"),
        ("Medicine 12", "pending"),
        ("Medicine 20", "planned"),
        ("Medicine 23", "planned"),
    ]


@pytest.mark.parametrize("id", [None, uuid4()])
def test_what_is_written_already_is_not_computed_again(
    as_ana: Client, ana: Credentials, id: UUID | None
) -> None:
    schedule = schedule_of(ana.user)
    fields = taken(ana.user, NOW) | ({"id": id} if id else {})
    dose = written_ahead(schedule, date(2026, 11, 27), **fields)
    assert [(one["id"], one["status"]) for one in day(as_ana, "2026-11-27")] == [(str(dose.id), "taken")]
    # Taken back, and no longer part of the plan: nothing, until the plan has it again.
    DoseLog.objects.filter(id=dose.id).update(
        status="pending", taken_at=None, answer_by=None, withdrawn_at=NOW
    )
    assert day(as_ana, "2026-11-27") == []
    assert as_ana.get(f"/api/v1/doses/{dose.id}").status_code == 404
    assert as_ana.get(f"/api/v1/doses/{dose_id(schedule.id, dose.log_date)}").status_code == 404


def test_a_day_of_another_zone_is_computed_in_it(as_ana: Client, ana: Credentials) -> None:
    User.objects.filter(id=ana.user.id).update(timezone="Asia/Seoul")
    ana.user.refresh_from_db()
    schedule_of(ana.user)
    schedule_of(ana.user, medicine="Aspirin", timezone="America/New_York")
    due = [(dose["medication"]["name"], dose["due_at"]) for dose in day(as_ana, "2026-12-25")]
    assert due == [("Metformin", "2026-12-24T23:00:00Z"), ("Aspirin", "2026-12-25T13:00:00Z")]


@pytest.mark.parametrize(
    ("schedule", "medicine"),
    [
        ({"is_active": False}, {}),
        ({"plan_error": "InvalidCycle: days", "cycle_type": "weekly"}, {}),
        ({"cycle_type": "weekly"}, {}),
        ({"planned_until": None}, {}),
        ({}, {"is_active": False}),
        ({}, {"paused_at": NOW}),
    ],
)
def test_a_schedule_that_plans_nothing_shows_nothing(
    as_ana: Client, ana: Credentials, schedule: dict[str, Any], medicine: dict[str, Any]
) -> None:
    made = schedule_of(ana.user)
    id = dose_id(made.id, date(2026, 12, 25))
    assert len(day(as_ana, "2026-12-25")) == 1
    Schedule.objects.update(**schedule)
    Medication.objects.update(**medicine)
    assert day(as_ana, "2026-12-25") == []
    assert as_ana.get(f"/api/v1/doses/{id}").status_code == 404
    listed = upcoming(as_ana, 60)["results"]
    assert {one["log_date"] for one in listed} <= {"2026-11-20", "2026-11-21"}


def test_a_pause_that_ends_by_itself_hides_the_days_before_its_end(as_ana: Client, ana: Credentials) -> None:
    schedule = schedule_of(ana.user)
    Medication.objects.update(paused_at=NOW, paused_until=utc(2026, 12, 24, 12))
    for is_planned in (False, True):
        if is_planned:
            replan([schedule.id], now=NOW)
        assert [day(as_ana, f"2026-12-{number}") for number in (20, 24)] == [[], []]
        assert [dose["status"] for dose in day(as_ana, "2026-12-25")] == ["planned"]
    path = f"/api/v1/schedules/{schedule.id}"
    assert as_ana.get(path).json()["next_due_at"] == "2026-12-25T08:00:00Z"
    assert [dose["log_date"] for dose in upcoming(as_ana, 36)["results"]] == ["2026-12-25", "2026-12-26"]


def test_a_day_is_shown_though_the_database_does_not_know_the_zone(as_ana: Client, ana: Credentials) -> None:
    schedule_of(ana.user)
    User.objects.update(timezone="Mars/Olympus")
    assert [dose["status"] for dose in day(as_ana, "2026-11-20")] == ["pending"]
    assert day(as_ana, "2026-12-25") == []


def test_a_planned_day_is_one_statement_and_any_other_three_more(
    as_ana: Client, ana: Credentials, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(4):
        schedule_of(ana.user, time(8 + number), medicine=f"Medicine {number}")
    with django_assert_num_queries(1):
        day(as_ana, "2026-11-20")
    with django_assert_num_queries(1):
        day(as_ana, "2026-11-19")
    with django_assert_num_queries(4):
        day(as_ana, "2026-12-25")


def test_what_was_taken_today_is_in_today_and_counts_on_its_own_date(
    as_ana: Client, ana: Credentials, at: Callable[[datetime], None]
) -> None:
    schedule_of(ana.user, time(23), end_date=date(2026, 11, 21))
    late, early = DoseLog.objects.get(), schedule_of(ana.user, time(9), medicine="Aspirin")
    take_dose(dose_id=late.id, by=ana.user, now=utc(2026, 11, 21, 0, 30))
    (tomorrow,) = DoseLog.objects.filter(schedule=early, log_date=date(2026, 11, 21))
    take_dose(dose_id=tomorrow.id, by=ana.user, now=utc(2026, 11, 20, 21))

    def of(date: str) -> list[tuple[str, str | None]]:
        return [(dose["id"], dose["also_on"]) for dose in day(as_ana, date) if dose["status"] == "taken"]

    assert of("2026-11-20") == [(str(tomorrow.id), "2026-11-21"), (str(late.id), None)]
    assert of("2026-11-21") == [(str(late.id), "2026-11-20"), (str(tomorrow.id), None)]
    assert of("2026-11-22") == of("2026-11-19") == []
    at(utc(2026, 11, 21, 12))
    figures = as_ana.get("/api/v1/adherence?from=2026-11-20&to=2026-11-20").json()["total"]
    assert (figures["due"], figures["taken"]) == (2, 1)
    assert as_ana.get(f"/api/v1/doses/{late.id}").json()["also_on"] is None
    history = as_ana.get("/api/v1/doses?from=2026-11-20&to=2026-11-20").json()["results"]
    assert {dose["also_on"] for dose in history} == {None}


@pytest.mark.parametrize(
    ("zone", "dates"),
    [
        ("UTC", {20}),
        ("Pacific/Kiritimati", {20, 21}),
        ("Pacific/Pago_Pago", {20}),
        ("Asia/Tokyo", {20, 21}),
    ],
)
def test_the_day_of_an_intake_is_that_of_the_zone_the_user_is_in_now(
    as_ana: Client, ana: Credentials, zone: str, dates: set[int]
) -> None:
    schedule_of(ana.user, time(15))
    dose = DoseLog.objects.get(log_date=date(2026, 11, 20))
    take_dose(dose_id=dose.id, by=ana.user, now=utc(2026, 11, 20, 15))
    User.objects.update(timezone=zone)
    found = {n for n in range(18, 24) if str(dose.id) in {one["id"] for one in day(as_ana, f"2026-11-{n}")}}
    assert found == dates


# Upcoming


def test_upcoming_has_open_doses_and_those_that_are_not_written(as_ana: Client, ana: Credentials) -> None:
    schedule = schedule_of(ana.user, end_date=date(2026, 11, 23))
    answer = upcoming(as_ana, 2)
    assert (answer["to"], answer["timezone"], answer["truncated"]) == ("2026-11-22", "UTC", False)
    ids = [str(dose_id(schedule.id, date(2026, 11, number))) for number in (20, 21, 22)]
    assert [(one["id"], one["status"], one["tag"]) for one in answer["results"]] == [
        (ids[0], "pending", ids[0]),
        (ids[1], "pending", ids[1]),
        (ids[2], "planned", ids[2]),
    ]
    assert [one["due_at"] for one in answer["results"]][2] == "2026-11-22T08:00:00Z"
    assert {one["schedule_version"] for one in answer["results"]} == {1}
    assert len(upcoming(as_ana)["results"]) == 4


def test_upcoming_is_the_same_whenever_it_is_asked_until_something_changes(
    as_ana: Client, ana: Credentials, at: Callable[[datetime], None]
) -> None:
    schedule = schedule_of(ana.user)
    path = "/api/v1/doses/upcoming"
    first = as_ana.get(path)
    # The dose of 08:00 is still open at 11:59, and answered by nobody at noon.
    for minutes in (1, 130, 359):
        at(NOW + timedelta(minutes=minutes))
        assert as_ana.get(path, headers={"If-None-Match": first["ETag"]}).status_code == 304
    at(NOW + timedelta(hours=6))
    assert as_ana.get(path)["ETag"] != first["ETag"]
    at(NOW)
    dose = DoseLog.objects.earliest("due_at")
    snooze_dose(dose_id=dose.id, minutes=15, by=ana.user, now=NOW)
    snoozed = as_ana.get(path)
    assert snoozed["ETag"] != first["ETag"]
    assert snoozed.json()["results"][0]["snoozed_until"] == "2026-11-20T08:15:00Z"
    plan_due(now=NOW + timedelta(hours=20))
    assert as_ana.get(path)["ETag"] != snoozed["ETag"], "one more dose is pending now"
    Schedule.objects.update(version=2)
    assert {one["schedule_version"] for one in upcoming(as_ana)["results"]} == {2}
    take_dose(dose_id=dose.id, by=ana.user, now=NOW)
    assert str(dose.id) not in {one["id"] for one in upcoming(as_ana)["results"]}
    assert schedule.id == dose.schedule_id


def test_doses_of_one_instant_share_the_lowest_id_as_tag_if_they_have_reminders(
    as_ana: Client, ana: Credentials
) -> None:
    ends: dict[str, Any] = {"end_date": date(2026, 11, 25)}
    a, b = (schedule_of(ana.user, medicine=name, **ends) for name in ("Aspirin", "Metformin"))
    alone = schedule_of(ana.user, time(9), medicine="Statin", **ends)
    silent = schedule_of(ana.user, medicine="Vitamin", reminder_enabled=False, **ends)
    # On several dates, planned or not, so that no order is right by chance.
    for number in range(20, 26):
        on = [one for one in upcoming(as_ana)["results"] if one["log_date"] == f"2026-11-{number}"]
        tags = {UUID(one["schedule_id"]): one["tag"] for one in on}
        ids = [dose_id(schedule.id, date(2026, 11, number)) for schedule in (a, b)]
        own = str(dose_id(alone.id, date(2026, 11, number)))
        assert tags == {a.id: str(min(ids)), b.id: str(min(ids)), alone.id: own, silent.id: None}


def test_upcoming_stops_at_a_thousand_doses_and_says_so(as_ana: Client, ana: Credentials) -> None:
    medication = medication_of(ana.user)
    for hour in range(18):
        schedule_at(medication, time(hour), now=NOW, start_date=date(2026, 11, 20))
    answer = upcoming(as_ana, 60)
    assert (answer["truncated"], len(answer["results"])) == (True, 1000)
    due = [one["due_at"] for one in answer["results"]]
    assert due == sorted(due)
    assert len(set(due)) == 1000
    assert upcoming(as_ana, 50)["truncated"] is False


def test_upcoming_costs_the_same_queries_however_many_schedules(
    as_ana: Client, ana: Credentials, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(4):
        schedule_of(ana.user, time(8 + number), medicine=f"Medicine {number}")
        with django_assert_num_queries(5):
            upcoming(as_ana)


@pytest.mark.parametrize("days", ["0", "61", "x", "1.5"])
def test_upcoming_is_for_one_to_sixty_days(as_ana: Client, days: str) -> None:
    refused = as_ana.get(f"/api/v1/doses/upcoming?days={days}")
    assert [error["field"] for error in refused.json()["errors"]] == ["days"]


# One dose


def test_a_dose_is_found_by_its_owner_only_and_only_where_the_plan_has_it(
    as_ana: Client, as_cleo: Client, ana: Credentials
) -> None:
    schedule = schedule_of(ana.user, cycle_type="weekly", cycle_value={"days": ["fri"]})
    (planned,) = day(as_ana, "2026-12-25")
    dose = DoseLog.objects.get()
    for id in (planned["id"], str(dose.id)):
        assert as_ana.get(f"/api/v1/doses/{id}").json()["id"] == id
        assert as_cleo.get(f"/api/v1/doses/{id}").status_code == 404
    elsewhere = [
        dose_id(schedule.id, date(2026, 12, 24)),  # a Thursday
        dose_id(schedule.id, date(2026, 11, 13)),  # before the start
        dose_id(schedule.id, date(2026, 12, 25), 1),
        dose_id(uuid4(), date(2026, 12, 25)),
        uuid4(),
    ]
    assert [as_ana.get(f"/api/v1/doses/{id}").status_code for id in elsewhere] == [404] * 5


def test_a_date_that_the_plan_has_passed_over_has_no_dose(as_ana: Client, ana: Credentials) -> None:
    schedule = schedule_of(ana.user, start_date=date(2026, 11, 1))
    id = dose_id(schedule.id, date(2026, 11, 10))
    found = find_unwritten(ana.user, id)
    assert found is not None
    assert found[1].due_at == utc(2026, 11, 10, 8), "it can be recorded, but nobody expects it"
    assert as_ana.get(f"/api/v1/doses/{id}").status_code == 404
    assert day(as_ana, "2026-11-10") == []


# When the next dose is due


def next_due_at(client: Client, schedule: Schedule) -> Any:
    one = client.get(f"/api/v1/schedules/{schedule.id}").json()["next_due_at"]
    listed = client.get(f"/api/v1/medications/{schedule.medication_id}/schedules").json()["results"]
    assert one in [schedule["next_due_at"] for schedule in listed]
    return one


def test_the_next_dose_is_the_next_one_that_is_not_answered(
    as_ana: Client, ana: Credentials, at: Callable[[datetime], None]
) -> None:
    schedule = schedule_of(ana.user, end_date=date(2026, 11, 23))
    assert next_due_at(as_ana, schedule) == "2026-11-20T08:00:00Z"
    at(utc(2026, 11, 20, 8))
    assert next_due_at(as_ana, schedule) == "2026-11-21T08:00:00Z"
    at(NOW)
    today, tomorrow = DoseLog.objects.order_by("due_at")
    take_dose(dose_id=today.id, by=ana.user, now=NOW)
    assert next_due_at(as_ana, schedule) == "2026-11-21T08:00:00Z"
    skip_dose(dose_id=tomorrow.id, by=ana.user, now=NOW, override=True)
    assert next_due_at(as_ana, schedule) == "2026-11-22T08:00:00Z"
    ahead = written_ahead(schedule, date(2026, 11, 22), **taken(ana.user, NOW))
    assert next_due_at(as_ana, schedule) == "2026-11-23T08:00:00Z"
    # Taken back before it is planned.
    DoseLog.objects.filter(id=ahead.id).update(status="pending", taken_at=None)
    assert next_due_at(as_ana, schedule) == "2026-11-22T08:00:00Z"
    at(utc(2026, 11, 23, 8))
    assert next_due_at(as_ana, schedule) is None


@pytest.mark.parametrize(
    ("schedule", "medicine"),
    [
        ({"is_active": False}, {}),
        ({"plan_error": "InvalidCycle: days", "cycle_type": "weekly"}, {}),
        ({}, {"is_active": False}),
        ({}, {"paused_at": NOW}),
    ],
)
def test_nothing_is_next_where_nothing_is_to_come(
    as_ana: Client, ana: Credentials, schedule: dict[str, Any], medicine: dict[str, Any]
) -> None:
    made = schedule_of(ana.user)
    Schedule.objects.update(**schedule)
    Medication.objects.update(**medicine)
    replan([made.id], now=NOW)
    if "plan_error" in schedule:
        DoseLog.objects.all().delete()
    assert next_due_at(as_ana, made) is None


def test_answers_to_writes_say_what_is_next(as_ana: Client, ana: Credentials) -> None:
    path = f"/api/v1/medications/{medication_of(ana.user).id}/schedules"
    body = {"scheduled_time": "08:00", "start_date": "2100-01-01"}
    made = as_ana.post(path, body, format="json").json()
    assert made["next_due_at"] == "2100-01-01T08:00:00Z"
    changed = as_ana.patch(f"/api/v1/schedules/{made['id']}", {"scheduled_time": "09:30"}, format="json")
    assert changed.json()["next_due_at"] == "2100-01-01T09:30:00Z"


def test_the_list_of_schedules_costs_the_same_queries_however_many(
    as_ana: Client, ana: Credentials, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(3):
        schedule = schedule_of(ana.user, time(8 + number))
        with django_assert_num_queries(4):
            as_ana.get(f"/api/v1/medications/{schedule.medication_id}/schedules")


# What the week still has


def test_a_date_lived_twice_has_two_doses_in_the_target(as_ana: Client, ana: Credentials) -> None:
    """Sunday's dose was taken early; travel makes that date happen a second time."""
    schedule = schedule_of(ana.user)
    sunday = date(2026, 11, 22)
    written_ahead(schedule, sunday, **taken(ana.user, NOW))
    path = "/api/v1/adherence/current?period=weekly"
    assert as_ana.get(path).json()["target"] == 3
    travel: dict[str, Any] = {
        "last_due_at": "2026-11-21T08:00:00+00:00",
        "not_before": "2026-11-21T20:00:00+00:00",
        "kept": None,
        "ordinals": {sunday.isoformat(): 1},
        "shift": 0,
        "absorbed": [],
    }
    Schedule.objects.update(travel=travel)
    assert as_ana.get(path).json()["target"] == 4
    assert {dose["id"]: dose["status"] for dose in day(as_ana, "2026-11-22")} == {
        str(dose_id(schedule.id, sunday)): "taken",
        str(dose_id(schedule.id, sunday, 1)): "planned",
    }
    # Absorbed by travel: it is neither in the day nor in the target.
    Schedule.objects.update(travel=travel | {"not_before": "2026-11-22T20:00:00+00:00", "ordinals": {}})
    assert as_ana.get(path).json()["target"] == 3


def test_the_target_leaves_out_what_a_pause_that_ends_by_itself_covers(
    as_ana: Client, ana: Credentials
) -> None:
    schedule_of(ana.user)
    path = "/api/v1/adherence/current?period=weekly"
    assert as_ana.get(path).json()["target"] == 3
    Medication.objects.update(paused_at=NOW, paused_until=utc(2026, 11, 22, 12))
    assert as_ana.get(path).json()["target"] == 2, "only the two that are written"
