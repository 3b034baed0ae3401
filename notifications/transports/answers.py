"""Reading FCM's answers: status, headers and body of HTTP v1 become an outcome.

Source: "FCM error codes" and `google.firebase.fcm.v1.FcmError` of the FCM HTTP v1 reference.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from notifications.transports.outcomes import Outcome, Verdict

QUOTA_PAUSE = timedelta(seconds=60)
SERVER_PAUSE = timedelta(seconds=10)
MAX_WAIT = timedelta(days=1)

_FINAL = {"INVALID_ARGUMENT", "UNREGISTERED", "SENDER_ID_MISMATCH"}
_MESSAGE_NAME = re.compile("[ -~]{1,200}")
_ERROR_CODE = re.compile("[A-Z0-9_]{1,64}")
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
# What FCM says of a malformed token; it names no field then.
_NOT_A_TOKEN = "The registration token is not a valid FCM registration token"  # noqa: S105 - a sentence
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def read_answer(status: int, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Outcome:
    """The outcome of one `messages:send`; `headers` by lower-case name, `now` in UTC for a `Retry-After` date."""
    content = _json(body)
    name = content.get("name")
    if status == 200 and isinstance(name, str) and _MESSAGE_NAME.fullmatch(name):
        return Outcome(Verdict.ACCEPTED, message_id=name)
    error = _object(content.get("error"))
    code = _error_code(error)
    if _is_about_the_token(status, code, error):
        return Outcome(Verdict.REVOKE, code or "INVALID_TOKEN")
    if code in _FINAL or status in (400, 413):
        return Outcome(Verdict.DEAD, code or f"HTTP_{status}")
    # The rest is not this message's fault: FCM is busy, nobody knows, or the project is wrong. A code of FCM's own
    # beside such a status, as of a wrong APNs key, is not about the whole project.
    verdict = Verdict.REFUSED if status in (401, 403, 404) and not code else Verdict.RETRY
    pause = SERVER_PAUSE if status not in (401, 403, 404, 429) else QUOTA_PAUSE
    return Outcome(verdict, code or f"HTTP_{status}", retry_after=_retry_after(headers, now), pause=pause)


def is_credential_refused(outcome: Outcome) -> bool:
    """FCM did not take our access token: a fresh one may help."""
    return outcome.code == "HTTP_401"


def is_over_quota(outcome: Outcome) -> bool:
    """FCM takes no more from this project for now."""
    return outcome.code in ("QUOTA_EXCEEDED", "HTTP_429")


def _error_code(error: Mapping[str, Any]) -> str:
    codes = (detail.get("errorCode") for detail in _details(error, _FCM_ERROR))
    return next((code for code in codes if isinstance(code, str) and _ERROR_CODE.fullmatch(code)), "")


def _is_about_the_token(status: int, code: str, error: Mapping[str, Any]) -> bool:
    if (status, code) in ((404, "UNREGISTERED"), (403, "SENDER_ID_MISMATCH")):
        return True
    if (status, error.get("message")) == (400, _NOT_A_TOKEN):
        return True
    violations = [v for detail in _details(error, _BAD_REQUEST) for v in _list(detail.get("fieldViolations"))]
    return status == 400 and any(_object(v).get("field") == "message.token" for v in violations)


def _details(error: Mapping[str, Any], type_name: str) -> Iterator[Mapping[str, Any]]:
    for detail in _list(error.get("details")):
        if _object(detail).get("@type") == type_name:
            yield detail


def _retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """`Retry-After` in seconds or as an HTTP date, at most a day; nonsense counts as absent."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]+", value):
        return min(timedelta(seconds=int(value[:6])), MAX_WAIT)
    try:
        wait = parsedate_to_datetime(value) - now
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), MAX_WAIT)


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        return _object(json.loads(body))
    except (ValueError, RecursionError):
        return {}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
