import random

import pytest

from medtrack.tests.api import Client
from medtrack.tests.builders import device_of
from notifications.models import DeviceToken
from users.actions import Credentials

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
