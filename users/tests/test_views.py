from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD, session_of
from users.actions import Credentials, log_in, log_out
from users.models import User
from users.tests.issuer import LocalIssuer
from users.tokens import access_token

NEW = {"email": "dora@example.com", "password": PASSWORD}


def test_signing_up_creates_a_user_with_the_contracts_defaults(as_nobody: Client) -> None:
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


def test_without_a_token_the_response_is_401(as_nobody: Client) -> None:
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
def test_a_failed_sign_in_is_a_401(
    as_nobody: Client, ana: Credentials, path: str, body: dict[str, str], problem_type: str
) -> None:
    response = as_nobody.post(f"/api/v1/auth/{path}", body, format="json")
    assert (response.status_code, response.json()["type"]) == (401, problem_type)
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_email_that_grows_when_it_is_normalised_is_refused(as_nobody: Client) -> None:
    body = NEW | {"email": "a@" + "İ" * 62 + "." + "İ" * 62 + "." + "İ" * 40 + ".com"}
    response = as_nobody.post("/api/v1/auth/signup", body, format="json")
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "email")


@pytest.mark.parametrize("length", [129, 1_000_000])
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("signup", "password"),
        ("login", "password"),
        ("password/change", "password"),
        ("password/reset", "password"),
    ],
)
def test_a_very_long_password_is_refused_before_any_work(
    as_ana: Client, monkeypatch: pytest.MonkeyPatch, path: str, field: str, length: int
) -> None:
    monkeypatch.setattr(Argon2PasswordHasher, "encode", None)
    body = {"email": "ana@example.com", "token": "x", "new_password": "x", field: "x" * length}
    response = as_ana.post(f"/api/v1/auth/{path}", body, format="json")
    assert response.status_code == 400
    assert {"field": field, "code": "max_length"}.items() <= response.json()["errors"][0].items()


def test_a_refresh_that_shows_the_sessions_access_token_may_be_repeated(
    as_nobody: Client, ana: Credentials
) -> None:
    body, proof = {"refresh": ana.refresh}, {"Authorization": f"bearer {ana.access}"}
    first = as_nobody.post("/api/v1/auth/refresh", body, format="json").json()
    repeated = as_nobody.post("/api/v1/auth/refresh", body, format="json", headers=proof)
    assert (repeated.status_code, repeated.json()["refresh"]) == (200, first["refresh"])
    assert as_nobody.post("/api/v1/auth/refresh", body, format="json").status_code == 401
    assert as_nobody.post("/api/v1/auth/refresh", body, format="json", headers=proof).status_code == 401


def social(google: LocalIssuer, **changes: Any) -> Any:
    body = {"provider": "google", "id_token": google.token(), "device_name": "Pixel 9", **changes}
    return Client().post("/api/v1/auth/social", body, format="json")


def test_signing_in_with_google(db: None, google: LocalIssuer) -> None:
    answer = social(google)
    assert answer.status_code == 200
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['access']}")
    assert client.get("/api/v1/me").json()["provider"] == "google"
    assert client.get("/api/v1/auth/sessions").json()["results"][0]["device_name"] == "Pixel 9"
    refreshed = Client().post("/api/v1/auth/refresh", {"refresh": answer.json()["refresh"]}, format="json")
    assert refreshed.status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "problem_type"),
    [
        ({"id_token": "a.b.c"}, 401, "InvalidIdToken"),
        ({"nonce": "n"}, 401, "InvalidIdToken"),
        ({"provider": "kakao"}, 400, "ValidationError"),
        ({"provider": "myspace"}, 400, "ValidationError"),
        ({"id_token": "x" * 8193}, 400, "ValidationError"),
        ({"id_token": None}, 400, "ValidationError"),
    ],
)
def test_a_social_sign_in_that_is_refused(
    db: None, google: LocalIssuer, changes: dict[str, Any], status: int, problem_type: str
) -> None:
    answer = social(google, **changes)
    assert (answer.status_code, answer.json()["type"]) == (status, problem_type)
    assert not User.objects.exists()


def test_signing_in_with_an_unreachable_issuer_is_a_503(
    db: None, google: LocalIssuer, outside: LocalIssuer
) -> None:
    token = outside.token()
    google.status = 503
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    for answer in (social(google), client.get("/api/v1/me")):
        assert (answer.status_code, answer.json()["type"]) == (503, "IssuerUnavailable")
        assert int(answer.headers["Retry-After"]) > 0


def test_an_access_token_of_an_outside_issuer_is_accepted(db: None, outside: LocalIssuer) -> None:
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {outside.token(session_id='session-1')}")
    assert client.get("/api/v1/me").json()["provider"] == "supabase"
    device = {"token": "phone", "platform": "android"}
    assert client.post("/api/v1/devices", device, format="json").status_code == 201
    (session,) = client.get("/api/v1/auth/sessions").json()["results"]
    assert session["is_current"]
    assert client.delete(f"/api/v1/auth/sessions/{session['id']}").status_code == 204
    refused = client.get("/api/v1/me")
    assert (refused.status_code, refused.json()["type"]) == (401, "AuthenticationFailed")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "[" * 7000, "é"])
def test_a_token_of_an_unknown_issuer_is_a_401_when_outside_issuers_are_accepted(
    db: None, outside: LocalIssuer, token: str
) -> None:
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert client.get("/api/v1/me").status_code == 401


def test_refusing_an_expired_token_costs_no_query(
    ana: Credentials, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    an_hour_ago = timezone.now() - timedelta(hours=1)
    client = Client()
    token = access_token(user_id=ana.user.id, session_id=uuid4(), now=an_hour_ago)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    with django_assert_num_queries(0):
        assert client.get("/api/v1/me").status_code == 401


def test_a_request_with_a_known_outside_token_costs_two_queries(
    db: None, outside: LocalIssuer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {outside.token(session_id='session-1')}")
    client.get("/api/v1/me")
    with django_assert_num_queries(2):  # the outside session, and the living one
        assert client.get("/api/v1/me").status_code == 200


def test_sessions_are_listed_newest_first_by_pages(ana: Credentials, ben: Credentials) -> None:
    for name in ("Pixel", "iPad"):
        log_in(email="ana@example.com", password=PASSWORD, now=timezone.now(), device_name=name)
    log_out(session_id=session_of(ana.user).id, now=timezone.now())
    client = Client(ana)
    page = client.get("/api/v1/auth/sessions?limit=1").json()
    assert [(row["device_name"], row["is_current"]) for row in page["results"]] == [("Pixel", False)]
    last = client.get(f"/api/v1/auth/sessions?limit=1&cursor={page['next_cursor']}").json()
    assert [(row["device_name"], row["is_current"]) for row in last["results"]] == [("", True)]
    assert not last["has_more"]


def test_listing_sessions_takes_two_queries(as_ana: Client, django_assert_num_queries: Any) -> None:
    for _ in range(3):
        log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    with django_assert_num_queries(2):
        assert len(as_ana.get("/api/v1/auth/sessions").json()["results"]) == 4


def test_a_session_is_ended_only_by_its_user_and_once(
    ana: Credentials, as_ana: Client, as_cleo: Client
) -> None:
    other = log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    path = f"/api/v1/auth/sessions/{session_of(ana.user).id}"
    assert as_cleo.delete(path).status_code == 404
    assert Client(other).get("/api/v1/me").status_code == 200
    assert as_ana.delete(path).status_code == 204
    assert Client(other).get("/api/v1/me").status_code == 401
    assert as_ana.delete(path).status_code == 404
    assert as_ana.get("/api/v1/me").status_code == 200


def test_changing_the_password_ends_all_other_sessions(ana: Credentials, as_ana: Client) -> None:
    other = log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    body = {"password": PASSWORD, "new_password": "another horse battery"}
    assert as_ana.post("/api/v1/auth/password/change", body, format="json").status_code == 204
    assert (as_ana.get("/api/v1/me").status_code, Client(other).get("/api/v1/me").status_code) == (200, 401)
    login = {"email": "ana@example.com", "password": body["new_password"]}
    assert Client().post("/api/v1/auth/login", login, format="json").status_code == 200


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"password": "wrong", "new_password": "another horse battery"}, "password", "wrong_password"),
        ({"password": PASSWORD, "new_password": "12345678"}, "new_password", "password_too_common"),
        ({"password": PASSWORD, "new_password": "ana@example"}, "new_password", "password_too_similar"),
        ({"password": PASSWORD}, "new_password", "required"),
    ],
)
def test_a_change_of_password_names_the_field_that_is_wrong(
    as_ana: Client, body: dict[str, str], field: str, code: str
) -> None:
    answer = as_ana.post("/api/v1/auth/password/change", body, format="json")
    assert (field, code) in {(error["field"], error["code"]) for error in answer.json()["errors"]}
    assert as_ana.get("/api/v1/me").status_code == 200
