"""Every kind of error answer, wherever it is raised, in the one shape. The client checks it by the schema."""

from typing import Any

import pytest
from django.test import Client as DjangoClient
from django.test import override_settings
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD, person
from medtrack.tests.support.calls import OPERATIONS, call
from medtrack.tests.support.locks import table_locked
from medtrack.tests.support.owned_objects import owned_objects_of
from users.actions import Credentials
from users.models import User

MEDICATIONS = "/api/v1/medications"
NOT_FOUND = {
    "en": "Not found. It may have been deleted, or belong to another account.",
    "ko": "찾을 수 없습니다. 삭제되었거나 다른 계정의 것일 수 있습니다.",
    "ja": "見つかりませんでした。削除されたか、別のアカウントのものかもしれません。",
}


class Broken(APIView):
    def get(self, request: Request) -> Response:
        raise RuntimeError("secret inside")


urlpatterns = [path("api/v1/broken", Broken.as_view())]
handler500 = "medtrack.http.problems.server_error"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "problem_type"),
    [
        (b"{", "application/json", 400, "ParseError"),
        (b"\xff\xfe", "application/json", 400, "ParseError"),
        (b"[1, 2]", "application/json", 400, "ValidationError"),
        (b"null", "application/json", 400, "ValidationError"),
        (b'"text"', "application/json", 400, "ValidationError"),
        (b"[" * 100_000, "application/json", 400, "ParseError"),
        (b'{"name": NaN}', "application/json", 400, "ParseError"),
        (b'{"name": "\\ud800"}', "application/json", 400, "ParseError"),
        (b'{"name": "x", "form": "\\ud800"}', "application/json", 400, "ParseError"),
        (b'{"name": "x", "\\ud800": 1}', "application/json", 400, "ParseError"),
        (b'{"id": 1' + b"0" * 5000 + b', "name": "x"}', "application/json", 400, "ParseError"),
        (b"name=x", "application/x-www-form-urlencoded", 415, "UnsupportedMediaType"),
        (b"<name/>", "text/xml", 415, "UnsupportedMediaType"),
    ],
)
def test_a_body_that_cannot_be_read(
    as_ana: Client, body: bytes, content_type: str, status: int, problem_type: str
) -> None:
    response = as_ana.generic("POST", MEDICATIONS, body, content_type=content_type)
    assert (response.status_code, response.json()["type"], response.json()["status"]) == (
        status,
        problem_type,
        status,
    )


def test_a_body_that_is_too_large(as_ana: Client) -> None:
    body = b'{"name": "' + b"x" * 10_000_000 + b'"}'
    response = as_ana.generic("POST", MEDICATIONS, body, content_type="application/json")
    assert (response.status_code, response.json()["type"]) == (413, "RequestTooLarge")


@pytest.mark.parametrize(
    ("method", "url", "status", "problem_type"),
    [
        ("get", "/api/v1/nowhere", 404, "NotFound"),
        ("get", "/api/v1/schedules/not-a-uuid", 404, "NotFound"),
        ("get", "/api/v1/schedules/00000000-0000-0000-0000-000000000000", 404, "NotFound"),
        ("put", MEDICATIONS, 405, "MethodNotAllowed"),
        ("options", MEDICATIONS, 405, "MethodNotAllowed"),
        ("get", "/api/v1/doses?date=20261121", 400, "ValidationError"),
        ("get", "/api/v1/doses?date=tomorrow", 400, "ValidationError"),
    ],
)
def test_a_request_that_leads_nowhere(
    as_ana: Client, method: str, url: str, status: int, problem_type: str
) -> None:
    response = getattr(as_ana, method)(url)
    assert (response.status_code, response.json()["type"]) == (status, problem_type)


@override_settings(DEBUG=True)
def test_an_unknown_path_is_a_problem_in_development_too(as_ana: Client) -> None:
    assert as_ana.get("/api/v1/nowhere").json()["type"] == "NotFound"


def test_an_answer_in_another_format_is_refused(as_ana: Client) -> None:
    response = as_ana.get(MEDICATIONS, HTTP_ACCEPT="text/html")
    assert (response.status_code, response.json()["type"]) == (406, "NotAcceptable")


@override_settings(ROOT_URLCONF=__name__)
def test_a_defect_of_ours_says_nothing_about_the_inside(
    as_ana: Client, caplog: pytest.LogCaptureFixture
) -> None:
    as_ana.raise_request_exception = False
    problem = as_ana.get("/api/v1/broken").json()
    assert (problem["status"], problem["type"]) == (500, "InternalError")
    assert "secret" not in str(problem)
    failed: Any = next(record.msg for record in caplog.records if "request_failed" in str(record.msg))
    assert failed["request_id"] == problem["request_id"]


def test_a_problem_speaks_the_language_of_the_profile_when_the_client_names_none(db: None) -> None:
    dora = Client(person("Dora", language="ko"))
    assert (
        dora.get("/api/v1/schedules/00000000-0000-0000-0000-000000000000").json()["detail"] == NOT_FOUND["ko"]
    )
    french = dora.get("/api/v1/schedules/00000000-0000-0000-0000-000000000000", HTTP_ACCEPT_LANGUAGE="fr-FR")
    assert french.json()["detail"] == NOT_FOUND["ko"]
    assert Client().get("/api/v1/nowhere").json()["detail"] == NOT_FOUND["en"]


@pytest.mark.parametrize(("language", "detail"), NOT_FOUND.items())
def test_a_problem_speaks_the_callers_language(as_ana: Client, language: str, detail: str) -> None:
    problem: dict[str, Any] = as_ana.get("/api/v1/nowhere", HTTP_ACCEPT_LANGUAGE=language).json()
    assert problem["detail"] == detail


@pytest.mark.parametrize("method", ["get", "post", "patch", "put", "delete"])
def test_nowhere_is_a_404_of_our_shape_whatever_the_method(ana: Credentials, method: str) -> None:
    response = getattr(Client(ana, enforce_csrf_checks=True), method)("/api/v1/doses//take")
    assert (response.status_code, response.json()["type"]) == (404, "NotFound")


def test_what_is_wrong_is_said_in_the_language_of_each_caller(as_ana: Client) -> None:
    long = {"name": "x" * 201}
    said = [
        as_ana.post(MEDICATIONS, long, format="json", HTTP_ACCEPT_LANGUAGE=language).json()["errors"][0][
            "detail"
        ]
        for language in ("ko", "en", "ja", "en")
    ]
    assert len(set(said)) == 3
    assert said[1] == said[3] == "This must be a text of at most 200 characters."


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", ["lock_timeout", "statement_timeout"])
@pytest.mark.parametrize(
    ("operation", "table", "problem"),
    [
        ("listDoses", "dose_logs", "Busy"),
        ("takeDose", "dose_logs", "Busy"),
        ("recordDoseEvents", "dose_events", "EventsUnavailable"),
        ("updateMe", "users", "Busy"),
    ],
)
def test_what_the_database_gives_up_is_busy_and_not_a_defect(
    operation: str, table: str, problem: str, limit: str
) -> None:
    ana = person("Ana")
    anas = owned_objects_of(ana)
    (asked,) = (each for each in OPERATIONS if each.id == operation)
    with table_locked(table, limit=limit):
        answer = call(Client(ana), asked, anas)
    assert (answer.status_code, answer.json()["type"]) == (503, problem)
    assert int(answer["Retry-After"]) > 0
    assert call(Client(ana), asked, anas).status_code < 300


@pytest.mark.django_db(transaction=True)
def test_a_page_that_the_database_gives_up_is_busy_too() -> None:
    pages = DjangoClient(raise_request_exception=False)
    pages.force_login(User.objects.create_superuser("root@example.com", PASSWORD))
    with table_locked("users", limit="lock_timeout"):
        answer = pages.get("/admin/")
    assert (answer.status_code, answer.json()["type"]) == (503, "Busy")
    assert pages.get("/admin/").status_code == 200
