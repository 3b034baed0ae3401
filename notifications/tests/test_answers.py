import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from notifications.transports.answers import QUOTA_PAUSE, SERVER_PAUSE, read_answer
from notifications.transports.outcomes import Outcome, Verdict

ACCEPTED, RETRY, DEAD, REVOKE = Verdict.ACCEPTED, Verdict.RETRY, Verdict.DEAD, Verdict.REVOKE


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
        (200, b"<html>", Outcome(RETRY, "HTTP_200", retry_after=SERVER_PAUSE)),
        (0, b"", Outcome(RETRY, "HTTP_0", retry_after=SERVER_PAUSE)),
        (302, b"", Outcome(RETRY, "HTTP_302", retry_after=SERVER_PAUSE)),
        (404, error(404, "UNREGISTERED"), Outcome(REVOKE, "UNREGISTERED")),
        (404, error(404), Outcome(RETRY, "HTTP_404", retry_after=QUOTA_PAUSE)),
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
        (403, error(403), Outcome(RETRY, "HTTP_403", retry_after=QUOTA_PAUSE)),
        (429, error(429, "QUOTA_EXCEEDED"), Outcome(RETRY, "QUOTA_EXCEEDED", retry_after=QUOTA_PAUSE)),
        (429, b"", Outcome(RETRY, "QUOTA_EXCEEDED", retry_after=QUOTA_PAUSE)),
        (500, error(500, "INTERNAL"), Outcome(RETRY, "INTERNAL", retry_after=SERVER_PAUSE)),
        (503, error(503, "UNAVAILABLE"), Outcome(RETRY, "UNAVAILABLE", retry_after=SERVER_PAUSE)),
        (
            401,
            error(401, "THIRD_PARTY_AUTH_ERROR"),
            Outcome(RETRY, "THIRD_PARTY_AUTH_ERROR", retry_after=QUOTA_PAUSE),
        ),
        (401, error(401), Outcome(RETRY, "HTTP_401", retry_after=QUOTA_PAUSE)),
        (413, b"", Outcome(DEAD, "HTTP_413")),
    ],
)
def test_an_answer_of_fcm_becomes_an_outcome(status: int, body: bytes, expected: Outcome) -> None:
    assert read_answer(status, {}, body) == expected


@pytest.mark.parametrize(
    "nonsense", [b"", b"null", b"[]", b'{"error": 1}', b'{"error": {"details": [null, 7]}}', b"\xff"]
)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 503])
def test_a_body_that_is_nonsense_never_revokes_a_token(status: int, nonsense: bytes) -> None:
    assert read_answer(status, {}, nonsense).verdict in (RETRY, DEAD)


def test_retry_after_is_obeyed_in_seconds_and_as_a_date() -> None:
    assert read_answer(503, {"retry-after": "7"}, b"").retry_after == timedelta(seconds=7)
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(minutes=1), usegmt=True)
    waited = read_answer(429, {"retry-after": in_a_minute}, b"").retry_after
    assert waited is not None
    assert timedelta(seconds=50) < waited <= timedelta(minutes=1)
    assert read_answer(503, {"retry-after": "soon"}, b"").retry_after == SERVER_PAUSE
