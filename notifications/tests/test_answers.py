import json
from datetime import timedelta
from typing import Any

import pytest

from notifications.transports.answers import QUOTA_PAUSE, SERVER_PAUSE, read_answer
from notifications.transports.results import FcmResult, FcmResultKind

ACCEPTED, RETRY, DEAD, REVOKE = (
    FcmResultKind.ACCEPTED,
    FcmResultKind.RETRY,
    FcmResultKind.DEAD,
    FcmResultKind.REVOKE,
)
REFUSED = FcmResultKind.REFUSED


def error(status: int, code: str = "", violated: str = "", message: str = "…") -> bytes:
    """An error body as FCM writes it."""
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
    if violated:
        violation = {"field": violated, "description": "not valid"}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    return json.dumps(
        {"error": {"code": status, "message": message, "status": "…", "details": details}}
    ).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"name": "projects/p/messages/1"}', FcmResult(ACCEPTED, message_id="projects/p/messages/1")),
        (200, b' {"name":"a/b"}\n', FcmResult(ACCEPTED, message_id="a/b")),
        (200, rb'{"name": "a\u002fb"}', FcmResult(ACCEPTED, message_id="a/b")),
        (200, b'{"name": "a", "more": [1]}', FcmResult(ACCEPTED, message_id="a")),
        (200, b'{"name": "a"', FcmResult(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, b'{"name": "a"} {}', FcmResult(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, b'{"name": "\x1b[0m"}', FcmResult(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, rb'{"name": "a\nb"}', FcmResult(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, rb'{"name": "a\"}', FcmResult(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (503, b'{"name": "a"}', FcmResult(RETRY, "HTTP_503", pause=SERVER_PAUSE)),
        (200, b"<html>", FcmResult(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (0, b"", FcmResult(RETRY, "HTTP_0", pause=SERVER_PAUSE)),
        (302, b"", FcmResult(RETRY, "HTTP_302", pause=SERVER_PAUSE)),
        (404, error(404, "UNREGISTERED"), FcmResult(REVOKE, "UNREGISTERED")),
        (404, error(404), FcmResult(REFUSED, "HTTP_404", pause=QUOTA_PAUSE)),
        (400, error(400, "INVALID_ARGUMENT", "message.token"), FcmResult(REVOKE, "INVALID_ARGUMENT")),
        (400, error(400, "INVALID_ARGUMENT", "message.data"), FcmResult(DEAD, "INVALID_ARGUMENT")),
        (
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                message="The registration token is not a valid FCM registration token",
            ),
            FcmResult(REVOKE, "INVALID_ARGUMENT"),
        ),
        (400, error(400), FcmResult(DEAD, "HTTP_400")),
        (403, error(403, "SENDER_ID_MISMATCH"), FcmResult(REVOKE, "SENDER_ID_MISMATCH")),
        (403, error(403), FcmResult(REFUSED, "HTTP_403", pause=QUOTA_PAUSE)),
        (429, error(429, "QUOTA_EXCEEDED"), FcmResult(RETRY, "QUOTA_EXCEEDED", pause=QUOTA_PAUSE)),
        (429, b"", FcmResult(RETRY, "HTTP_429", pause=QUOTA_PAUSE)),
        (500, error(500, "INTERNAL"), FcmResult(RETRY, "INTERNAL", pause=SERVER_PAUSE)),
        (503, error(503, "UNAVAILABLE"), FcmResult(RETRY, "UNAVAILABLE", pause=SERVER_PAUSE)),
        (
            401,
            error(401, "THIRD_PARTY_AUTH_ERROR"),
            FcmResult(RETRY, "THIRD_PARTY_AUTH_ERROR", pause=QUOTA_PAUSE),
        ),
        (401, error(401), FcmResult(REFUSED, "HTTP_401", pause=QUOTA_PAUSE)),
        (413, b"", FcmResult(DEAD, "HTTP_413")),
        (408, b"", FcmResult(RETRY, "HTTP_408", pause=SERVER_PAUSE)),
        (421, b"", FcmResult(RETRY, "HTTP_421", pause=SERVER_PAUSE)),
        (200, b'{"name": ""}', FcmResult(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, json.dumps({"name": "x" * 201}).encode(), FcmResult(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (400, error(400, "", "message.token"), FcmResult(REVOKE, "INVALID_TOKEN")),
        (404, error(404, "UNREGISTERED" * 9), FcmResult(REFUSED, "HTTP_404", pause=QUOTA_PAUSE)),
    ],
)
def test_an_answer_of_fcm_becomes_an_outcome(status: int, body: bytes, expected: FcmResult) -> None:
    assert read_answer(status, body) == expected


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"null", b"[]", b'{"error": 1}', b'{"error": {"details": [null, 7]}}', b"\xff", b"[" * 100_000],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
def test_a_body_that_is_nonsense_never_revokes_a_token(status: int, nonsense: bytes) -> None:
    assert read_answer(status, nonsense).kind in (RETRY, DEAD, REFUSED)


@pytest.mark.parametrize(
    ("seconds", "wait"), [(7, timedelta(seconds=7)), (86_400, timedelta(days=1)), (0, None), (-1, None)]
)
def test_retry_after_is_obeyed_if_it_names_a_time(seconds: int, wait: timedelta | None) -> None:
    assert read_answer(503, b"", retry_after=seconds).retry_after == wait
