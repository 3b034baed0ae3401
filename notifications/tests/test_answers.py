import json
from datetime import timedelta
from typing import Any

import pytest

from notifications.transports.answers import QUOTA_PAUSE, SERVER_PAUSE, read_answer
from notifications.transports.results import Outcome, Verdict

ACCEPTED, RETRY, DEAD, REVOKE = Verdict.ACCEPTED, Verdict.RETRY, Verdict.DEAD, Verdict.REVOKE
REFUSED = Verdict.REFUSED


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
        (200, b'{"name": "projects/p/messages/1"}', Outcome(ACCEPTED, message_id="projects/p/messages/1")),
        (200, b' {"name":"a/b"}\n', Outcome(ACCEPTED, message_id="a/b")),
        (200, rb'{"name": "a\u002fb"}', Outcome(ACCEPTED, message_id="a/b")),
        (200, b'{"name": "a", "more": [1]}', Outcome(ACCEPTED, message_id="a")),
        (200, b'{"name": "a"', Outcome(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, b'{"name": "a"} {}', Outcome(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, b'{"name": "\x1b[0m"}', Outcome(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, rb'{"name": "a\nb"}', Outcome(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, rb'{"name": "a\"}', Outcome(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (503, b'{"name": "a"}', Outcome(RETRY, "HTTP_503", pause=SERVER_PAUSE)),
        (200, b"<html>", Outcome(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (0, b"", Outcome(RETRY, "HTTP_0", pause=SERVER_PAUSE)),
        (302, b"", Outcome(RETRY, "HTTP_302", pause=SERVER_PAUSE)),
        (404, error(404, "UNREGISTERED"), Outcome(REVOKE, "UNREGISTERED")),
        (404, error(404), Outcome(REFUSED, "HTTP_404", pause=QUOTA_PAUSE)),
        (400, error(400, "INVALID_ARGUMENT", "message.token"), Outcome(REVOKE, "INVALID_ARGUMENT")),
        (400, error(400, "INVALID_ARGUMENT", "message.data"), Outcome(DEAD, "INVALID_ARGUMENT")),
        (
            400,
            error(
                400,
                "INVALID_ARGUMENT",
                message="The registration token is not a valid FCM registration token",
            ),
            Outcome(REVOKE, "INVALID_ARGUMENT"),
        ),
        (400, error(400), Outcome(DEAD, "HTTP_400")),
        (403, error(403, "SENDER_ID_MISMATCH"), Outcome(REVOKE, "SENDER_ID_MISMATCH")),
        (403, error(403), Outcome(REFUSED, "HTTP_403", pause=QUOTA_PAUSE)),
        (429, error(429, "QUOTA_EXCEEDED"), Outcome(RETRY, "QUOTA_EXCEEDED", pause=QUOTA_PAUSE)),
        (429, b"", Outcome(RETRY, "HTTP_429", pause=QUOTA_PAUSE)),
        (500, error(500, "INTERNAL"), Outcome(RETRY, "INTERNAL", pause=SERVER_PAUSE)),
        (503, error(503, "UNAVAILABLE"), Outcome(RETRY, "UNAVAILABLE", pause=SERVER_PAUSE)),
        (
            401,
            error(401, "THIRD_PARTY_AUTH_ERROR"),
            Outcome(RETRY, "THIRD_PARTY_AUTH_ERROR", pause=QUOTA_PAUSE),
        ),
        (401, error(401), Outcome(REFUSED, "HTTP_401", pause=QUOTA_PAUSE)),
        (413, b"", Outcome(DEAD, "HTTP_413")),
        (408, b"", Outcome(RETRY, "HTTP_408", pause=SERVER_PAUSE)),
        (421, b"", Outcome(RETRY, "HTTP_421", pause=SERVER_PAUSE)),
        (200, b'{"name": ""}', Outcome(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (200, json.dumps({"name": "x" * 201}).encode(), Outcome(RETRY, "HTTP_200", pause=SERVER_PAUSE)),
        (400, error(400, "", "message.token"), Outcome(REVOKE, "INVALID_TOKEN")),
        (404, error(404, "UNREGISTERED" * 9), Outcome(REFUSED, "HTTP_404", pause=QUOTA_PAUSE)),
    ],
)
def test_an_answer_of_fcm_becomes_an_outcome(status: int, body: bytes, expected: Outcome) -> None:
    assert read_answer(status, body) == expected


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"null", b"[]", b'{"error": 1}', b'{"error": {"details": [null, 7]}}', b"\xff", b"[" * 100_000],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
def test_a_body_that_is_nonsense_never_revokes_a_token(status: int, nonsense: bytes) -> None:
    assert read_answer(status, nonsense).verdict in (RETRY, DEAD, REFUSED)


@pytest.mark.parametrize(
    ("seconds", "wait"), [(7, timedelta(seconds=7)), (86_400, timedelta(days=1)), (0, None), (-1, None)]
)
def test_retry_after_is_obeyed_if_it_names_a_time(seconds: int, wait: timedelta | None) -> None:
    assert read_answer(503, b"", retry_after=seconds).retry_after == wait
