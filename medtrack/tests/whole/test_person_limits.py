"""What one person can have and do: the limits, also among a hundred requests at once, and what has none."""

from collections.abc import Callable
from dataclasses import replace
from datetime import time
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone, translation

from dosing.actions.accounts import update_profile
from dosing.actions.clones import clone_medication
from dosing.actions.medications import update_medication
from dosing.actions.schedules import delete_medication, pause_medication
from dosing.models import Schedule
from medications.actions import create_medication
from medications.models import Medication
from medtrack.http.limits import Limit, PersonLimits
from medtrack.http.openapi import limits_table
from medtrack.http.person_limits import BEYOND, LimitReached
from medtrack.tests.support.api import SCHEMA, Client
from medtrack.tests.support.at_limits import AT_ONCE, HOUR, outcomes, phone
from medtrack.tests.support.builders import medication_of, person, push_a_test, schedule_at
from notifications.actions import TooManyTests
from notifications.models import NotificationLog
from users.actions import Credentials
from users.models import RateCounter
from users.rates import TooManyEdits


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", ["medications", "schedules", "edits", "zone_changes", "test_pushes"])
def test_a_hundred_at_once_do_not_pass(limits: Callable[..., None], limit: str) -> None:
    ana = person("Ana").user
    medication = medication_of(ana)
    devices = [phone(ana) for _ in range(3)]
    zones = ["Asia/Seoul", "Asia/Tokyo"]
    jobs: dict[str, Callable[[int], object]] = {
        "medications": lambda number: create_medication(by=ana, now=timezone.now(), name=str(number)),
        "schedules": lambda number: schedule_at(medication, time(number % 24), now=timezone.now()),
        "edits": lambda number: update_medication(
            medication_id=medication.id, by=ana, changes={"memo": str(number)}, now=timezone.now()
        ),
        "zone_changes": lambda number: update_profile(
            by=ana, changes={"timezone": zones[number % 2]}, now=timezone.now()
        ),
        "test_pushes": lambda number: push_a_test(devices[number % 3], now=timezone.now()),
    }
    errors = {"edits": "TooManyEdits", "zone_changes": "TooManyEdits", "test_pushes": "TooManyTests"}
    RateCounter.objects.all().delete()
    most = {"medications": 8, "schedules": 7}.get(limit, Limit(7, 3600))  # a medication is there already
    limits(**{limit: most})
    done = outcomes(jobs[limit])
    if limit == "zone_changes":  # where the zone is that already, nothing changes and nothing counts
        assert RateCounter.objects.get(name=limit).times == 7
        assert done["TooManyEdits"] > 0
    else:
        assert done == {"done": 7, errors.get(limit, "LimitReached"): AT_ONCE - 7}


def test_a_repeat_neither_counts_nor_fails_by_the_limit_that_the_first_one_reached(
    as_ana: Client, ana: Credentials, limits: Callable[..., None]
) -> None:
    limits(medications=1, schedules=1, edits=Limit(2, 3600))
    medication = {"id": str(uuid4()), "name": "Aspirin"}
    schedule = {"id": str(uuid4()), "scheduled_time": "08:00"}
    path = f"/api/v1/medications/{medication['id']}/schedules"
    for status in (201, 200, 200):
        assert as_ana.post("/api/v1/medications", medication, format="json").status_code == status
    for status in (201, 200, 200):
        assert as_ana.post(path, schedule, format="json").status_code == status
    assert RateCounter.objects.get().times == 2
    refused = as_ana.post("/api/v1/medications", {"name": "x"}, format="json").json()
    assert (refused["type"], refused["limit"], refused["number"]) == ("LimitReached", "medications", 1)
    refused = as_ana.post(path, {"scheduled_time": "09:00"}, format="json").json()
    assert (refused["type"], refused["limit"], refused["number"]) == ("LimitReached", "schedules", 1)


def test_what_was_deleted_and_what_belongs_to_others_does_not_count(
    ana: Credentials, ben: Credentials, limits: Callable[..., None]
) -> None:
    limits(medications=1, schedules=1)
    now = timezone.now()
    for _ in range(2):
        medication = medication_of(ana.user)
        schedule_at(medication, time(8), now=now)
        delete_medication(medication_id=medication.id, by=medication.user, now=now)
    schedule_at(medication_of(ana.user), time(8), now=now)
    schedule_at(medication_of(ben.user), time(8), now=now)


def test_a_clone_counts_with_all_its_schedules(ana: Credentials, limits: Callable[..., None]) -> None:
    now = timezone.now()
    medication = medication_of(ana.user)
    for hour in range(3):
        schedule_at(medication, time(hour), now=now)
    RateCounter.objects.all().delete()
    clone: dict[str, Any] = {"medication_id": medication.id, "by": ana.user, "now": now}
    for refusing, error in (
        ({"medications": 1}, LimitReached),
        ({"schedules": 5}, LimitReached),
        ({"edits": Limit(3, 3600)}, TooManyEdits),
    ):
        limits(medications=2, schedules=6, edits=Limit(4, 3600))
        limits(**refusing)
        with pytest.raises(error), transaction.atomic():
            clone_medication(**clone)
    assert (Medication.objects.count(), Schedule.objects.count(), RateCounter.objects.count()) == (1, 3, 0)
    limits(medications=2, schedules=6, edits=Limit(4, 3600))
    clone_medication(**clone)
    assert RateCounter.objects.get().times == 4


def test_every_edit_counts_and_what_fails_does_not(
    as_ana: Client, ana: Credentials, limits: Callable[..., None]
) -> None:
    medication, other = medication_of(ana.user), medication_of(ana.user)
    schedule = schedule_at(medication, time(8), now=timezone.now())
    path, schedules = f"/api/v1/medications/{medication.id}", f"/api/v1/schedules/{schedule.id}"
    requests = [
        ("post", "/api/v1/medications", {"name": "x"}),
        ("patch", path, {"memo": "x"}),
        ("post", f"{path}/pause", {}),
        ("post", f"{path}/resume", {}),
        ("post", f"{path}/schedules", {"scheduled_time": "09:00"}),
        ("patch", schedules, {"scheduled_time": "10:00"}),
        ("delete", schedules, {}),
        ("post", f"/api/v1/medications/{other.id}/clone", {}),
        ("delete", path, {}),
    ]
    for method, where, body in requests:
        RateCounter.objects.update(times=300)
        refused = getattr(as_ana, method)(where, body, format="json")
        assert (refused.status_code, refused.json()["limit"]) == (429, "edits"), where
        assert 3500 < int(refused.headers["Retry-After"]) <= 3600
        RateCounter.objects.update(times=299)
        assert getattr(as_ana, method)(where, body, format="json").status_code < 300
        assert RateCounter.objects.get().times == 300
        RateCounter.objects.update(times=0)
        assert as_ana.post("/api/v1/medications", {"name": ""}, format="json").status_code == 400
        assert as_ana.patch(f"/api/v1/medications/{uuid4()}", {}, format="json").status_code == 404
        assert RateCounter.objects.get().times == 0


def test_a_window_ends_with_its_time(ana: Credentials, limits: Callable[..., None]) -> None:
    limits(edits=Limit(1, 3600))
    medication = medication_of(ana.user)
    with pytest.raises(TooManyEdits), transaction.atomic():
        pause_medication(medication_id=medication.id, by=medication.user, now=timezone.now())
    RateCounter.objects.update(began_at=timezone.now() - HOUR)
    pause_medication(medication_id=medication.id, by=medication.user, now=timezone.now())
    assert RateCounter.objects.get().times == 1


def test_the_zone_counts_only_when_it_changes(as_ana: Client, limits: Callable[..., None]) -> None:
    limits(zone_changes=Limit(1, 3600))
    for zone in ("Asia/Seoul", "Asia/Seoul"):
        assert as_ana.patch("/api/v1/me", {"timezone": zone, "name": "A"}, format="json").status_code == 200
    refused = as_ana.patch("/api/v1/me", {"timezone": "UTC"}, format="json")
    assert (refused.status_code, refused.json()["type"]) == (429, "TooManyEdits")
    assert refused.json()["limit"] == "zone_changes"
    assert as_ana.patch("/api/v1/me", {"name": "B"}, format="json").status_code == 200


def test_test_pushes_count_over_all_devices_of_a_person(
    ana: Credentials, ben: Credentials, limits: Callable[..., None]
) -> None:
    limits(test_pushes=Limit(4, 3600))
    phones = [phone(ana.user), phone(ana.user)]
    for number in range(4):
        push_a_test(phones[number % 2], now=timezone.now())
    with pytest.raises(TooManyTests), transaction.atomic():
        push_a_test(phones[0], now=timezone.now())
    assert NotificationLog.objects.count() == 4
    push_a_test(phone(ben.user), now=timezone.now())


def test_what_has_no_limit_goes_on_at_all_limits(
    as_ana: Client, ana: Credentials, limits: Callable[..., None]
) -> None:
    medication = medication_of(ana.user)
    device = phone(ana.user)
    limits(edits=Limit(1, 3600), sessions=1, intakes_a_day=1, test_pushes=Limit(1, 3600))
    for _ in range(3):
        intake = {"medication_id": str(medication.id)}
        assert as_ana.post("/api/v1/doses", intake, format="json").status_code == 201
        body = {"token": device.token, "platform": "ios"}
        assert as_ana.post("/api/v1/devices", body, format="json").status_code == 200
    refresh = {"refresh": ana.refresh}
    assert as_ana.post("/api/v1/auth/refresh", refresh, format="json").status_code == 200
    assert as_ana.post("/api/v1/auth/logout").status_code == 204


def test_limits_are_written_as_numbers_and_as_times_and_seconds() -> None:
    changed = PersonLimits.parse("devices=50, edits=600/1800")
    assert changed == replace(PersonLimits(), devices=50, edits=Limit(600, 1800))
    assert PersonLimits.parse("") == PersonLimits()
    for wrong in ("devices", "devices=0", "devices=-1", "devices=5/60", "edits=5", "cats=3", "devices=x"):
        with pytest.raises(ValueError, match=r"is (none of|not a)"):
            PersonLimits.parse(wrong)


def test_every_limit_is_described_for_clients() -> None:
    assert BEYOND.keys() == PersonLimits.__dataclass_fields__.keys()
    assert limits_table() in SCHEMA["info"]["description"]


@pytest.mark.parametrize("language", ["ko", "ja"])
@pytest.mark.parametrize("limit", ["devices", "medications", "schedules", "sessions"])
def test_every_limit_is_told_in_the_persons_language(limit: str, language: str) -> None:
    english = str(LimitReached(limit).detail)
    number = str(getattr(PersonLimits(), limit))
    with translation.override(language):
        assert number in str(LimitReached(limit).detail) != english
    assert number in english


def test_pausing_what_is_paused_is_no_edit(ana: Credentials, limits: Callable[..., None]) -> None:
    medication = medication_of(ana.user)
    limits(edits=Limit(2, 3600))
    for _ in range(3):
        pause_medication(medication_id=medication.id, by=medication.user, now=timezone.now())
