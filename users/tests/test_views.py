from typing import Any

import pytest

from medtrack.tests.api import Client
from medtrack.tests.builders import PASSWORD
from users.actions import Credentials
from users.models import User

NEW = {"email": "dora@example.com", "password": PASSWORD}


def test_signing_up_makes_a_person_with_the_contracts_defaults(as_nobody: Client) -> None:
    response = as_nobody.post("/api/v1/auth/signup", NEW, format="json")
    assert response.status_code == 201
    user = response.json()["user"]
    assert (user["timezone"], user["language"], user["provider"]) == ("Asia/Seoul", "ko", "email")
    assert response.json()["expires_in"] == 600


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"email": "nonsense"}, "email", "invalid"),
        ({"email": None}, "email", "null"),
        ({"password": "12345678"}, "password", "password_too_common"),
        ({"password": "dora@example"}, "password", "password_too_similar"),
        ({"timezone": "Mars/Olympus"}, "timezone", "unknown_zone"),
        ({"timezone": "../etc/passwd"}, "timezone", "unknown_zone"),
        ({"timezone": "localtime"}, "timezone", "unknown_zone"),
        ({"language": "xx"}, "language", "invalid_choice"),
        ({"name": "a\u0000b"}, "name", "null_characters_not_allowed"),
    ],
)
def test_signing_up_names_the_field_that_is_wrong(
    as_nobody: Client, change: dict[str, Any], field: str, code: str
) -> None:
    response = as_nobody.post("/api/v1/auth/signup", NEW | change, format="json")
    assert response.status_code == 400
    assert (field, code) in {(e["field"], e["code"]) for e in response.json()["errors"]}
    assert not User.objects.exists()


def test_a_taken_email_is_a_conflict(as_nobody: Client, ana: Credentials) -> None:
    response = as_nobody.post("/api/v1/auth/signup", NEW | {"email": "Ana@Example.com"}, format="json")
    assert (response.status_code, response.json()["type"]) == (409, "EmailTaken")


def test_signing_in_refreshing_and_signing_out(as_nobody: Client, ana: Credentials) -> None:
    body = {"email": "ana@example.com", "password": PASSWORD, "device_name": "Pixel 9"}
    first = as_nobody.post("/api/v1/auth/login", body, format="json").json()
    second = as_nobody.post("/api/v1/auth/refresh", {"refresh": first["refresh"]}, format="json").json()
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {second['access']}")
    assert client.get("/api/v1/me").json()["email"] == "ana@example.com"
    assert client.post("/api/v1/auth/logout").status_code == 204
    refused = client.get("/api/v1/me")
    assert (refused.status_code, refused.json()["type"]) == (401, "SessionEnded")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_without_a_token_there_is_no_answer_but_401(as_nobody: Client) -> None:
    response = as_nobody.get("/api/v1/me")
    assert (response.status_code, response.json()["type"]) == (401, "NotAuthenticated")


def test_a_stale_token_in_the_header_does_not_prevent_signing_in(ana: Credentials) -> None:
    client = Client()
    client.credentials(HTTP_AUTHORIZATION="Bearer stale")
    body = {"email": "ana@example.com", "password": PASSWORD}
    assert client.post("/api/v1/auth/login", body, format="json").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "problem_type"),
    [
        ("login", {"email": "ana@example.com", "password": "wrong"}, "InvalidCredentials"),
        ("refresh", {"refresh": "stale"}, "InvalidRefreshToken"),
    ],
)
def test_what_does_not_sign_in_is_a_401(
    as_nobody: Client, ana: Credentials, path: str, body: dict[str, str], problem_type: str
) -> None:
    response = as_nobody.post(f"/api/v1/auth/{path}", body, format="json")
    assert (response.status_code, response.json()["type"]) == (401, problem_type)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_email_that_grows_when_it_is_normalised_is_refused(as_nobody: Client) -> None:
    body = NEW | {"email": "a@" + "İ" * 62 + "." + "İ" * 62 + "." + "İ" * 40 + ".com"}
    response = as_nobody.post("/api/v1/auth/signup", body, format="json")
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "email")
