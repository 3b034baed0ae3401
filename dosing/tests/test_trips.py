"""Trips through the real API: the zone changes by itself at both ends."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from dosing.actions.accounts import update_profile
from dosing.actions.trips import create_trip, delete_trip, start_and_end_trips, users_with_due_trips
from dosing.models import DoseLog, Schedule
from dosing.planning import plan_due
from dosing.tasks import start_and_end_trips as run_task
from dosing.upcoming import upcoming
from dosing.zone_changes import ZoneAhead, histories, occurrences_ahead, zone_changes_ahead
from medications.models import MedicationEvent
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, person, schedule_at, utc
from users.models import Trip, User

SEOUL, LOS_ANGELES = "Asia/Seoul", "America/Los_Angeles"
NOW = utc(2026, 11, 18, 3)
# 10:00 on the 20th in Seoul.
STARTS, ENDS = utc(2026, 11, 20, 1), utc(2026, 12, 1, 1)


@pytest.fixture
def dora(db: None) -> User:
    user = person("Dora", timezone=SEOUL).user
    schedule_at(medication_of(user), time(14), now=NOW)
    return user


def plan_trip(user: User, **fields: Any) -> Trip:
    values = {"timezone": LOS_ANGELES, "starts_at": STARTS, "ends_at": ENDS, "now": NOW, **fields}
    return create_trip(by=user, **values).object


def live_until(user: User, now: datetime) -> None:
    """A minute after `now` the trips that are due by it have been applied."""
    plan_due(now=now)
    for user_id in users_with_due_trips(now=now, limit=10):
        start_and_end_trips(user_id=user_id, now=now + timedelta(seconds=30))
    assert users_with_due_trips(now=now, limit=10) == []
    plan_due(now=now + timedelta(seconds=30))
    user.refresh_from_db()


def test_the_zone_changes_at_both_ends_and_returns(dora: User) -> None:
    plan_trip(dora)
    live_until(dora, STARTS - timedelta(minutes=1))
    assert dora.timezone == SEOUL
    live_until(dora, STARTS)
    assert dora.timezone == LOS_ANGELES
    live_until(dora, ENDS - timedelta(minutes=1))
    assert dora.timezone == LOS_ANGELES
    live_until(dora, ENDS)
    assert dora.timezone == SEOUL
    # By nobody: the system made the change.
    event = MedicationEvent.objects.filter(action="travelled").earliest("recorded_at")
    assert (event.recorded_by, event.changes["lived_twice"]) == (None, [None, ["2026-11-20"]])


def test_what_was_announced_before_a_trip_is_what_happens(dora: User) -> None:
    plan_trip(dora)
    schedule = Schedule.objects.select_related("medication__user").get()
    ahead = occurrences_ahead(
        schedule,
        since=NOW,
        changes=zone_changes_ahead(dora, NOW),
        history=histories([schedule.id], user=dora, now=NOW)[schedule.id],
    )
    announced = []
    for occurrence, zone in ahead:
        if occurrence.due_at > ENDS + timedelta(days=3):
            break
        announced.append((occurrence.log_date, occurrence.ordinal, occurrence.due_at))
        assert zone.key == (LOS_ANGELES if STARTS < occurrence.due_at < ENDS else SEOUL)
    live_until(dora, STARTS)
    for day in range(1, 12):
        live_until(dora, STARTS + timedelta(days=day))
    live_until(dora, ENDS + timedelta(days=3))
    rows = DoseLog.objects.filter(due_at__lte=ENDS + timedelta(days=3)).order_by("due_at")
    assert list(rows.values_list("log_date", "ordinal", "due_at")) == announced


def test_the_doses_to_come_are_those_that_a_trip_will_make(dora: User) -> None:
    plan_trip(dora)
    schedule_at(medication_of(dora, "Vitamin D"), time(14), now=NOW, timezone=SEOUL)
    one_day = {"dates": ["2026-11-21"]}
    schedule_at(medication_of(dora, "Iron"), time(9), now=NOW, cycle_type="dates", cycle_value=one_day)
    before = STARTS - timedelta(hours=1)
    # Doses of the first days of the trip are written already, on the clock of Seoul.
    plan_due(now=before)
    shown = [(dose.id, dose.due_at) for dose in upcoming(dora, days=4, now=before).doses]
    for day in range(5):
        live_until(dora, STARTS + timedelta(days=day))
    rows = DoseLog.objects.filter(due_at__gt=before, due_at__lte=shown[-1][1]).order_by("due_at", "id")
    assert list(rows.values_list("id", "due_at")) == shown


def test_who_changes_the_zone_during_a_trip_keeps_it(dora: User) -> None:
    plan_trip(dora)
    live_until(dora, STARTS)
    update_profile(by=dora, changes={"timezone": "America/Chicago"}, now=STARTS + timedelta(days=2))
    assert zone_changes_ahead(User.objects.get(), STARTS + timedelta(days=3)) == []
    live_until(dora, ENDS)
    assert dora.timezone == "America/Chicago"


def test_a_trip_that_nobody_started_in_time_starts_once_or_not_at_all(dora: User) -> None:
    plan_trip(dora)
    live_until(dora, STARTS + timedelta(hours=7))
    assert dora.timezone == LOS_ANGELES
    plan_trip(dora, starts_at=ENDS + timedelta(days=1), ends_at=ENDS + timedelta(days=2))
    live_until(dora, ENDS)
    live_until(dora, ENDS + timedelta(days=5))
    assert dora.timezone == SEOUL
    assert Trip.objects.filter(ended_at=None).count() == 0


def test_taking_a_running_trip_back_returns_the_zone(dora: User) -> None:
    trip = plan_trip(dora)
    live_until(dora, STARTS)
    delete_trip(trip_id=trip.id, by=dora, now=STARTS + timedelta(hours=1))
    dora.refresh_from_db()
    assert (dora.timezone, Trip.objects.count()) == (SEOUL, 0)
    assert Schedule.objects.get().travel is None


def test_a_trip_without_an_end_makes_its_zone_the_home(dora: User) -> None:
    plan_trip(dora, ends_at=None)
    live_until(dora, STARTS)
    plan_trip(dora, timezone="Europe/London", starts_at=ENDS, ends_at=ENDS + timedelta(days=1), now=STARTS)
    assert zone_changes_ahead(dora, STARTS + timedelta(days=1)) == [
        ZoneAhead(ENDS, "Europe/London"),
        ZoneAhead(ENDS + timedelta(days=1), LOS_ANGELES),
    ]


@pytest.fixture
def path(as_ana: Client) -> str:
    return "/api/v1/me/trips"


def body(days: int, length: int | None, **more: Any) -> dict[str, Any]:
    starts_at = timezone.now().replace(microsecond=0) + timedelta(days=days)
    ends_at = None if length is None else (starts_at + timedelta(days=length)).isoformat()
    return {"timezone": LOS_ANGELES, "starts_at": starts_at.isoformat(), "ends_at": ends_at, **more}


def test_a_trip_is_made_once_listed_and_taken_back(as_ana: Client, path: str) -> None:
    trip = body(3, 5, id="01990a50-11d0-7c55-9f0e-4be1a2d07c31")
    made = as_ana.post(path, trip, format="json")
    assert made.status_code == 201
    assert as_ana.post(path, trip, format="json").status_code == 200
    other = as_ana.post(path, trip | {"timezone": SEOUL}, format="json")
    assert (other.status_code, other.json()["type"]) == (409, "IdConflict")
    assert [row["id"] for row in as_ana.get(path).json()["results"]] == [trip["id"]]
    assert as_ana.delete(f"{path}/{trip['id']}").status_code == 204
    assert as_ana.get(path).json()["results"] == []


@pytest.mark.parametrize(
    ("days", "length", "status"), [(5, 9, 409), (1, 3, 409), (8, 2, 201), (3, None, 409)]
)
def test_trips_do_not_overlap(as_ana: Client, path: str, days: int, length: int | None, status: int) -> None:
    first = body(3, 5)
    trip_id = as_ana.post(path, first, format="json").json()["id"]
    if days == 8:
        second = body(0, None) | {"starts_at": first["ends_at"]}
    elif length is None:
        second = body(0, None) | {"starts_at": first["starts_at"]}
    else:
        second = body(days, length)
    answer = as_ana.post(path, second, format="json")
    assert answer.status_code == status
    if status == 409:
        assert (answer.json()["type"], answer.json()["trip_id"]) == ("TripsOverlap", trip_id)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"starts_at": "2020-01-01T00:00:00Z"}, "starts_at"),
        ({"starts_at": "2099-01-01T00:00:00Z"}, "starts_at"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
    ],
)
def test_a_trip_that_makes_no_sense_is_refused_by_field(
    as_ana: Client, path: str, fields: dict[str, str], field: str
) -> None:
    answer = as_ana.post(path, body(3, None) | fields, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_a_preview_shows_a_trip_to_come(as_ana: Client, path: str) -> None:
    user = User.objects.get(name="Ana")
    schedule = schedule_at(medication_of(user), time(12), now=timezone.now())
    as_ana.post(path, body(10, None, timezone="Pacific/Honolulu"), format="json")
    answer = as_ana.get(f"/api/v1/schedules/{schedule.id}/preview").json()
    assert answer["results"][-1]["due_at_local"].endswith("T12:00:00-10:00")
    codes = {warning["code"] for warning in answer["warnings"]}
    assert codes & {"closer_than_usual", "longer_than_usual", "absorbed_by_travel", "date_lived_twice"}


def test_the_task_starts_a_trip_by_the_databases_clock(as_ana: Client, path: str) -> None:
    as_ana.post(path, body(0, 3), format="json")
    run_task()
    assert as_ana.get("/api/v1/me").json()["timezone"] == LOS_ANGELES
    (trip,) = as_ana.get(path).json()["results"]
    assert trip["started_at"]
    assert trip["ended_at"] is None
    assert as_ana.delete(f"{path}/{trip['id']}").status_code == 204
    assert as_ana.get("/api/v1/me").json()["timezone"] != LOS_ANGELES


def test_a_dry_run_of_another_zone_says_what_would_happen_in_the_callers_language(as_ana: Client) -> None:
    user = User.objects.get(name="Ana")
    User.objects.update(timezone=SEOUL, language="en")
    user.refresh_from_db()
    hour_ago = (
        (timezone.now() - timedelta(hours=1)).astimezone(user.zone).time().replace(second=0, microsecond=0)
    )
    schedule_at(medication_of(user), hour_ago, now=timezone.now() - timedelta(hours=2))
    change = {"timezone": "America/New_York", "dry_run": True}
    tried = as_ana.patch("/api/v1/me", change, format="json").json()
    assert tried["timezone"] == SEOUL
    assert {warning["code"] for warning in tried["warnings"]} >= {"date_lived_twice", "closer_than_usual"}
    assert as_ana.get("/api/v1/me").json()["timezone"] == SEOUL
    done = as_ana.patch("/api/v1/me", change | {"dry_run": False}, format="json").json()
    assert done["timezone"] == "America/New_York"
    assert done["warnings"] == tried["warnings"]
