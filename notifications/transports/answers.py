"""Reading FCM's answers: status, headers and body of HTTP v1 become an outcome.

Source: "FCM error codes" and `google.firebase.fcm.v1.FcmError` of the FCM HTTP v1 reference.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from notifications.transports.outcomes import Outcome, Verdict

QUOTA_PAUSE = timedelta(seconds=60)
SERVER_PAUSE = timedelta(seconds=10)

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
# What FCM says of a malformed token; it names no field then.
_NOT_A_TOKEN = "The registration token is not a valid FCM registration token"  # noqa: S105 - a sentence
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """The outcome of one `messages:send`; `headers` by lower-case name."""
    content = _json(body)
    if status == 200 and isinstance(content.get("name"), str):
        return Outcome(Verdict.ACCEPTED, message_id=content["name"])
    error = _object(content.get("error"))
    code = next(
        (d["errorCode"] for d in _details(error, _FCM_ERROR) if isinstance(d.get("errorCode"), str)), ""
    )
    if status == 429:
        return Outcome(
            Verdict.RETRY, code or "QUOTA_EXCEEDED", retry_after=_retry_after(headers) or QUOTA_PAUSE
        )
    if not 400 <= status < 500:  # nobody knows: no answer at all counts as status 0
        return Outcome(
            Verdict.RETRY, code or f"HTTP_{status}", retry_after=_retry_after(headers) or SERVER_PAUSE
        )
    if _is_about_the_token(status, code, error):
        return Outcome(Verdict.REVOKE, code)
    if status in (401, 403, 404) and code not in ("INVALID_ARGUMENT", "UNREGISTERED", "SENDER_ID_MISMATCH"):
        return _refused(status, code)
    return Outcome(Verdict.DEAD, code or f"HTTP_{status}")


def is_credential_refused(outcome: Outcome) -> bool:
    """FCM did not take our access token: a fresh one may help."""
    return outcome.code == "HTTP_401"


def _refused(status: int, code: str) -> Outcome:
    """The project, its rights or its APNs key are wrong: the token is innocent, an operator must act."""
    return Outcome(Verdict.RETRY, code or f"HTTP_{status}", retry_after=QUOTA_PAUSE)


def _is_about_the_token(status: int, code: str, error: Mapping[str, Any]) -> bool:
    if (status, code) in ((404, "UNREGISTERED"), (403, "SENDER_ID_MISMATCH")):
        return True
    if (status, error.get("message")) == (400, _NOT_A_TOKEN):
        return True
    violations = [v for detail in _details(error, _BAD_REQUEST) for v in detail.get("fieldViolations") or ()]
    return status == 400 and any(_object(v).get("field") == "message.token" for v in violations)


def _details(error: Mapping[str, Any], type_name: str) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if _object(detail).get("@type") == type_name:
            yield detail


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """`Retry-After` in seconds or as an HTTP date; nonsense counts as absent."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return timedelta(seconds=min(int(value), 86_400))
    try:
        wait = parsedate_to_datetime(value) - datetime.now(UTC)
    except (TypeError, ValueError):
        return None
    return max(wait, timedelta(0))


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        return _object(json.loads(body))
    except ValueError:
        return {}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
