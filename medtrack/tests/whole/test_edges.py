"""Requests that nobody sends on purpose: always a problem of the documented shape, never a defect."""

from typing import Any, cast

import pytest
from jsonschema import Draft4Validator, FormatChecker

from medtrack.tests.support.api import SCHEMA, Client
from medtrack.tests.support.calls import OPERATIONS, body_of, path_of, send, with_query
from medtrack.tests.support.owned_objects import OwnedObjects, all_rows, owned_objects_of, undone
from users.actions import Credentials

JSON = "application/json"
WITH_BODY = [operation for operation in OPERATIONS if operation.body]
# No body is valid JSON.
UNREADABLE: dict[str, tuple[bytes, str, int]] = {
    "no JSON": (b"{", JSON, 400),
    "nothing but a NUL": (b"\0", JSON, 400),
    "another encoding": ('{"name": "약"}'.encode("utf-16"), JSON, 400),
    "broken UTF-8": (b'{"name": "\xc3\x28"}', JSON, 400),
    "half a surrogate pair": (b'{"name": "\\ud83d"}', JSON, 400),
    "half a pair as a key": (b'{"\\udc8a": 1}', JSON, 400),
    "not a number": (b'{"quantity": NaN}', JSON, 400),
    "infinity": (b'{"quantity": -Infinity}', JSON, 400),
    "a number of 5,000 digits": (b'{"minutes": ' + b"9" * 5000 + b"}", JSON, 400),
    "deep lists": (b"[" * 100_000 + b"]" * 100_000, JSON, 400),
    "deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, JSON, 400),
    "a list": (b"[]", JSON, 400),
    "a string": (b'"name"', JSON, 400),
    "a number": (b"1", JSON, 400),
    "null": (b"null", JSON, 400),
    "a form": (b"name=x", "application/x-www-form-urlencoded", 415),
    "a multipart form": (b"--b\r\n\r\n--b--", "multipart/form-data; boundary=b", 415),
    "text": (b'{"name": "x"}', "text/plain", 415),
    "no media type": (b'{"name": "x"}', "nonsense", 415),
    "10 MB": (b'{"name": "' + b"x" * 10_000_000 + b'"}', JSON, 413),
}
# Values that no field of any operation takes, except where its schema says so.
WRONG: dict[str, Any] = {
    "a NUL byte": "a\0b",
    "an object": {"a": {"b": []}},
    "a list": [[]],
    "a huge number": 10**400,
    "a huge fraction": 1e308,
    "a long text": "x" * 100_000,
    "a text of spaces": " \t\n",
    "an emoji": "\U0001f48a",
    "a UUID that is none": "00000000-0000-0000-0000-00000000000g",
    "a zone that is none": "Mars/Olympus",
    "a path": "../../etc/passwd",
    "an SQL": "'; DROP TABLE users; --",
}
# Checked by the cycle's type, when the fields by themselves are valid.
CHECKED_LATER = {"cycle_value"}
BROKEN_PATHS = {
    "a UUID that is none": "not-a-uuid",
    "a UUID with braces": "{01900000-0000-7000-8000-000000000000}",
    "a UUID without dashes": "01900000000070008000000000000000",
    "a NUL": "%00",
    "broken UTF-8": "%c3%28",
    "a slash": "%2f",
    "dots": "..%2f..%2fme",
    "nothing": "",
    "another alphabet": "%EB%B3%B5%EC%95%BD",
    "a UUID and a line break": "01900000-0000-7000-8000-000000000000%0a",
    "far too much": "1" * 8000,
}
BROKEN_QUERIES = {
    "nothing": "",
    "a NUL": "%00",
    "broken UTF-8": "%c3%28",
    "an emoji": "%F0%9F%92%8A",
    "a wrong date": "2026-02-30",
    "a date too far": "99999-01-01",
    "a huge number": "9" * 5000,
    "far too much": "x" * 100_000,
}


@pytest.fixture
def anas(ana: Credentials) -> OwnedObjects:
    return owned_objects_of(ana)


def test_no_operation_takes_a_body_that_cannot_be_read(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client, before = Client(anas.credentials), all_rows()
    for operation in WITH_BODY:
        path = path_of(operation, anas)
        for name, (body, media_type, status) in UNREADABLE.items():
            with subtests.test(f"{operation.id}: {name}"):
                response = client.generic(operation.method, path, body, content_type=media_type)
                assert response.status_code == status
    assert all_rows() == before


def takes(field: dict[str, Any], value: object) -> bool:
    """Whether the schema does; a rule that it cannot say may still refuse."""
    validator = Draft4Validator({**field, "components": SCHEMA["components"]}, format_checker=FormatChecker())
    return bool(validator.is_valid(value))


def test_every_field_with_a_wrong_value_is_named(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client, before = Client(anas.credentials), all_rows()
    for operation in WITH_BODY:
        # Each of a batch of events is answered by itself.
        fields = {} if operation.id == "recordDoseEvents" else (operation.body or {})["properties"]
        for name, value in WRONG.items():
            with subtests.test(f"{operation.id}: {name}"), undone():
                response = send(client, operation, path_of(operation, anas), dict.fromkeys(fields, value))
                named = {error["field"].split(".")[0] for error in response.json().get("errors", ())}
                assert response.status_code < 500
                checked = fields.keys() - CHECKED_LATER
                assert named >= {field for field in checked if not takes(fields[field], value)}
    assert all_rows() == before


@pytest.mark.parametrize("name", ["a NUL byte", "an object", "a long text"])
def test_one_wrong_value_is_enough(anas: OwnedObjects, subtests: pytest.Subtests, name: str) -> None:
    client, value = Client(anas.credentials), WRONG[name]
    for operation in WITH_BODY:
        body = body_of(operation, anas) or {}
        for field in body:
            with subtests.test(f"{operation.id} {field}"):
                response = send(client, operation, path_of(operation, anas), body | {field: value})
                assert 400 <= response.status_code < 500
            for inner in body[field] if isinstance(body[field], dict) else ():
                with subtests.test(f"{operation.id} {field}.{inner}"):
                    broken = body | {field: body[field] | {inner: value}}
                    response = send(client, operation, path_of(operation, anas), broken)
                    assert 400 <= response.status_code < 500


def test_a_path_that_names_nothing_is_not_found(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client, before = Client(anas.credentials), all_rows()
    for operation in OPERATIONS:
        for name, text in BROKEN_PATHS.items() if operation.path_ids else ():
            with subtests.test(f"{operation.id}: {name}"):
                path = operation.path.format(**dict.fromkeys(operation.path_ids, text))
                assert send(client, operation, path, body_of(operation, anas)).status_code == 404
    assert all_rows() == before


def test_a_query_that_means_nothing_is_refused_by_name(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client = Client(anas.credentials)
    for operation in OPERATIONS:
        for field, described in operation.query.items():
            for name, text in BROKEN_QUERIES.items():
                if text.isdigit() and described.get("type") == "integer":
                    continue  # as many as there are
                with subtests.test(f"{operation.id} {field}: {name}"):
                    path = path_of(operation, anas).partition("?")[0]
                    response = client.get(f"{path}?{field}={text}")
                    assert response.status_code == 400
                    named = {error["field"] for error in response.json()["errors"]}
                    assert named == {field} | operation.required_query


def test_a_query_of_too_many_parameters_is_refused(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client = Client(anas.credentials)
    for operation in OPERATIONS:
        with subtests.test(operation.id):
            path = with_query(operation, anas, "x&" * 1001)
            assert send(client, operation, path, body_of(operation, anas)).json()["type"] == "BadRequest"


def test_a_method_that_a_path_does_not_know_changes_nothing(
    anas: OwnedObjects, subtests: pytest.Subtests
) -> None:
    known = {(operation.method, operation.path) for operation in OPERATIONS}
    # HEAD is GET without its body.
    known |= {("HEAD", path) for method, path in known if method == "GET"}
    client, before = Client(anas.credentials), all_rows()
    for operation in OPERATIONS:
        path = path_of(operation, anas)
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"):
            if (method, operation.path) not in known:
                with subtests.test(f"{method} {operation.path}"):
                    response = client.generic(method, path, "{}", content_type=JSON)
                    assert response.status_code == 405
    assert all_rows() == before


def test_a_slash_at_the_end_leads_nowhere(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client, before = Client(anas.credentials), all_rows()
    for operation in OPERATIONS:
        with subtests.test(operation.id):
            path = path_of(operation, anas).partition("?")[0]
            for wrong in (f"{path}/", f"{path}//", path.replace("/v1/", "/v1//"), path.upper()):
                response = client.generic(operation.method, wrong, "{}", content_type=JSON)
                assert response.status_code == 404, wrong
    assert all_rows() == before


@pytest.mark.parametrize("host", ["evil.example.org", "", "a b", "[::1", "\udcff"])
def test_a_host_that_is_not_ours_is_a_problem(as_ana: Client, host: str) -> None:
    answer = as_ana.get("/api/v1/me", HTTP_HOST=host)
    assert (answer.status_code, answer.json()["type"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    "header",
    [
        *(
            "Bearer",
            "Bearer ",
            "bearer x",
            "Bearer " + "x" * 100_000,
            "Bearer \xff",
            "Bearer \0",
            "Basic YTpi",
        ),
        *("Bearer a.b.c", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer " + "a." * 2000, "Token x", "\t"),
    ],
)
def test_a_header_that_is_no_token_signs_nobody_in(db: None, header: str) -> None:
    answer = Client().get("/api/v1/me", HTTP_AUTHORIZATION=header)
    assert answer.status_code == 401
    assert answer.json()["type"] in ("NotAuthenticated", "AuthenticationFailed")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("HTTP_ACCEPT_LANGUAGE", "x" * 10_000),
        ("HTTP_ACCEPT_LANGUAGE", "ko;q=a, *;q=1e999, \0"),
        ("HTTP_ACCEPT", "application/json;q=nonsense"),
        ("HTTP_X_REQUEST_ID", "x" * 10_000),
        ("HTTP_COOKIE", "sessionid=\0; csrftoken=;;;=" + "x" * 10_000),
        ("CONTENT_LENGTH", "nonsense"),
        ("HTTP_X_FORWARDED_FOR", "nonsense, ::::, \xff"),
        ("HTTP_IF_MODIFIED_SINCE", "yesterday"),
        ("HTTP_RANGE", "bytes=0-0,-1"),
    ],
)
def test_headers_that_mean_nothing_are_ignored(as_ana: Client, header: str, value: str) -> None:
    assert as_ana.get("/api/v1/me", **cast(Any, {header: value})).status_code == 200
