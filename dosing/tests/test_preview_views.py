"""Previews of schedules through the API."""

from datetime import date, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dosing.dose_ids import dose_id
from dosing.models import Schedule
from dosing.tests.refusals import assert_refused
from medications.models import Medication
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, schedule_at
from users.actions import Credentials
from users.models import User


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
                "id": str(dose_id(UUID(schedule_id), date(2027, 3, 13))),
                "log_date": "2027-03-13",
                "ordinal": 0,
                "scheduled_time": "02:30",
                "due_at": "2027-03-13T07:30:00Z",
                "due_at_local": "2027-03-13T02:30:00-05:00",
                "quantity": "1.5",
            },
            {
                "id": str(dose_id(UUID(schedule_id), date(2027, 3, 14))),
                "log_date": "2027-03-14",
                "ordinal": 0,
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
                "previous_due_at": None,
                "detail": "The clocks change: 02:30 does not exist on this day, so the dose is due at 03:00.",
            },
            {
                "code": "closer_than_usual",
                "log_date": "2027-03-14",
                "due_at": "2027-03-14T07:00:00Z",
                "previous_due_at": "2027-03-13T07:30:00Z",
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


def test_a_preview_reads_the_schedule_its_last_doses_and_the_trips(
    as_ana: Client, preview_path: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(4):
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
