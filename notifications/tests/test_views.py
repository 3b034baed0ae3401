import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone

from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD, claim_all, device_of, dose_due, person, session_of
from medtrack.tests.support.workers import in_another_worker
from notifications import queue
from notifications.actions import replace_settings
from notifications.models import DeviceToken
from users.actions import Credentials, lock_user, log_in

PHONE = {"token": "phone-1", "platform": "android", "app_version": "1.2.3"}


def test_registering_a_device_twice_is_one_device(as_ana: Client) -> None:
    first = as_ana.post("/api/v1/devices", PHONE, format="json")
    second = as_ana.post("/api/v1/devices", PHONE | {"app_version": "1.3.0"}, format="json")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert [d["app_version"] for d in as_ana.get("/api/v1/devices").json()["results"]] == ["1.3.0"]


def test_a_token_moves_to_whoever_signs_in_on_the_phone(
    as_ana: Client, as_cleo: Client, cleo: Credentials
) -> None:
    as_ana.post("/api/v1/devices", PHONE | {"device_id": "anas-iphone"}, format="json")
    assert as_cleo.post("/api/v1/devices", PHONE, format="json").status_code == 200
    assert DeviceToken.objects.get().user == cleo.user
    assert DeviceToken.objects.get().device_id == ""
    assert as_ana.get("/api/v1/devices").json()["results"] == []


def test_a_removed_device_comes_back_when_it_registers_again(as_ana: Client) -> None:
    device = as_ana.post("/api/v1/devices", PHONE, format="json").json()
    assert as_ana.delete(f"/api/v1/devices/{device['id']}").status_code == 204
    assert as_ana.get("/api/v1/devices").json()["results"][0]["revoke_reason"] == "removed_by_owner"
    assert as_ana.post("/api/v1/devices", PHONE, format="json").json()["revoked_at"] is None


def test_a_stranger_cannot_remove_a_device(ana: Credentials, as_cleo: Client) -> None:
    device = device_of(ana.user)
    assert as_cleo.delete(f"/api/v1/devices/{device.id}").status_code == 404
    device.refresh_from_db()
    assert device.revoked_at is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"token": ""}, "token"),
        ({"token": "x" * 2049}, "token"),
        ({"token": "a\nb"}, "token"),
        ({"token": "é"}, "token"),
        ({"platform": "fridge"}, "platform"),
    ],
)
def test_a_device_that_makes_no_sense_is_refused_by_field(
    as_ana: Client, change: dict[str, str], field: str
) -> None:
    response = as_ana.post("/api/v1/devices", PHONE | change, format="json")
    assert response.status_code == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_the_longest_token_fits_the_unique_index(as_ana: Client) -> None:
    random_text = "".join(chr(33 + byte % 94) for byte in random.Random(7).randbytes(2048))
    assert as_ana.post("/api/v1/devices", PHONE | {"token": random_text}, format="json").status_code == 201


SETTINGS = {
    "quiet_hours": {"start_time": "22:00", "end_time": "07:30"},
    "private_push_text": False,
    "follow_up_interval_minutes": 20,
    "follow_up_cap": 1,
}


def replace(client: Client, settings: object) -> Any:
    return client.put("/api/v1/notifications/settings", settings, format="json")


def test_the_settings_are_those_of_the_profile_until_they_are_replaced(as_ana: Client) -> None:
    assert as_ana.get("/api/v1/notifications/settings").json() == {
        "quiet_hours": None,
        "private_push_text": True,
        "follow_up_interval_minutes": 10,
        "follow_up_cap": 3,
    }
    answer = replace(as_ana, SETTINGS)
    assert (answer.status_code, answer.json()) == (200, SETTINGS)
    assert as_ana.get("/api/v1/notifications/settings").json() == SETTINGS
    assert as_ana.get("/api/v1/me").json()["follow_up_cap"] == 1
    assert replace(as_ana, SETTINGS | {"quiet_hours": None}).json()["quiet_hours"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quiet_hours": {"start_time": "22:00"}}, "quiet_hours.end_time"),
        ({"quiet_hours": {"start_time": "22:00", "end_time": "7"}}, "quiet_hours.end_time"),
        ({"quiet_hours": {"start_time": "22:00:30", "end_time": "07:00"}}, "quiet_hours.start_time"),
        ({"quiet_hours": {"start_time": None, "end_time": "07:00"}}, "quiet_hours.start_time"),
        ({"quiet_hours": "never"}, "quiet_hours"),
        ({"private_push_text": "perhaps"}, "private_push_text"),
        ({"private_push_text": None}, "private_push_text"),
        ({"follow_up_interval_minutes": 4}, "follow_up_interval_minutes"),
        ({"follow_up_interval_minutes": 241}, "follow_up_interval_minutes"),
        ({"follow_up_cap": -1}, "follow_up_cap"),
        ({"follow_up_cap": 11}, "follow_up_cap"),
        ({"follow_up_cap": 10**30}, "follow_up_cap"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_field(
    as_ana: Client, change: dict[str, Any], field: str
) -> None:
    answer = replace(as_ana, SETTINGS | change)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("field", SETTINGS)
def test_settings_are_replaced_as_a_whole(as_ana: Client, field: str) -> None:
    answer = replace(as_ana, {name: value for name, value in SETTINGS.items() if name != field})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_settings_are_ones_own(as_ana: Client, as_cleo: Client, as_nobody: Client) -> None:
    replace(as_ana, SETTINGS)
    assert as_cleo.get("/api/v1/notifications/settings").json()["follow_up_cap"] == 3
    assert as_nobody.get("/api/v1/notifications/settings").status_code == 401
    assert replace(as_nobody, SETTINGS).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_settings_take_turns_with_other_changes_of_the_profile() -> None:
    ana = person("Ana").user
    with transaction.atomic():
        lock_user(ana.id)
        with pytest.raises(OperationalError, match="lock timeout"):
            in_another_worker(lambda: replace_settings(by=ana, now=timezone.now(), quiet_hours=None))


def test_nothing_is_pushed_to_a_device_whose_session_was_ended_from_another(ana: Credentials) -> None:
    device_of(ana.user)
    session = session_of(ana.user)
    dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()
    other = Client(log_in(email="ana@example.com", password=PASSWORD, now=timezone.now()))
    assert other.delete(f"/api/v1/auth/sessions/{session.id}").status_code == 204
    assert claim_all().pushes == []
