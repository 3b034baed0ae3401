"""Reading FCM's answers: status and body of HTTP v1 become an FcmResult.

Source: "FCM error codes" and `google.firebase.fcm.v1.FcmError` of the FCM HTTP v1 reference.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from notifications.transports.results import FcmResult, FcmResultKind

QUOTA_PAUSE = timedelta(seconds=60)
SERVER_PAUSE = timedelta(seconds=10)

_FINAL = {"INVALID_ARGUMENT", "UNREGISTERED", "SENDER_ID_MISMATCH"}
_MESSAGE_NAME = re.compile("[ -~]{1,200}")
# Nearly every answer is only a name without escapes. Then parsing JSON is not needed.
_ONLY_A_NAME = re.compile(rb'\s*\{\s*"name"\s*:\s*"([!#-[\]-~ ]{1,200})"\s*\}\s*', re.ASCII)
_ERROR_CODE = re.compile("[A-Z0-9_]{1,64}")
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
# FCM's message about a malformed token, which comes without the name of a field.
_NOT_A_TOKEN = "The registration token is not a valid FCM registration token"  # noqa: S105 - a sentence
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def read_answer(status: int, body: bytes, *, retry_after: int = 0) -> FcmResult:
    """Returns the result of one `messages:send`. `retry_after` is in seconds, 0 if FCM gave no time."""
    if status == 200 and (accepted := _ONLY_A_NAME.fullmatch(body)):
        return FcmResult(FcmResultKind.ACCEPTED, message_id=accepted[1].decode())
    # The body may be anything: a proxy on the way may have written it.
    try:
        content = _object(json.loads(body))
    except (ValueError, RecursionError):
        content = {}
    name = content.get("name")
    if status == 200 and isinstance(name, str) and _MESSAGE_NAME.fullmatch(name):
        return FcmResult(FcmResultKind.ACCEPTED, message_id=name)
    error = _object(content.get("error"))
    codes = (detail.get("errorCode") for detail in _details(error, _FCM_ERROR))
    code = next((code for code in codes if isinstance(code, str) and _ERROR_CODE.fullmatch(code)), "")
    violations = [v for detail in _details(error, _BAD_REQUEST) for v in _list(detail.get("fieldViolations"))]
    if (
        (status, code) in ((404, "UNREGISTERED"), (403, "SENDER_ID_MISMATCH"))
        or (status, error.get("message")) == (400, _NOT_A_TOKEN)
        or (status == 400 and any(_object(v).get("field") == "message.token" for v in violations))
    ):
        return FcmResult(FcmResultKind.REVOKE, code or "INVALID_TOKEN")
    if code in _FINAL or status in (400, 413):
        return FcmResult(FcmResultKind.DEAD, code or f"HTTP_{status}")
    # The rest is no error of this message: FCM is busy, the cause is unknown, or the project is wrong. An FCM
    # error code beside such a status, as of a wrong APNs key, is not about the whole project.
    kind = FcmResultKind.REFUSED if status in (401, 403, 404) and not code else FcmResultKind.RETRY
    pause = SERVER_PAUSE if status not in (401, 403, 404, 429) else QUOTA_PAUSE
    wait = timedelta(seconds=retry_after) if retry_after > 0 else None
    return FcmResult(kind, code or f"HTTP_{status}", retry_after=wait, pause=pause)


def is_credential_refused(outcome: FcmResult) -> bool:
    """Whether FCM refused our access token: a new one may help."""
    return outcome.error_code == "HTTP_401"


def is_over_quota(outcome: FcmResult) -> bool:
    """Whether the project has sent more than FCM's quota allows."""
    return outcome.error_code in ("QUOTA_EXCEEDED", "HTTP_429")


def _details(error: Mapping[str, Any], type_name: str) -> Iterator[Mapping[str, Any]]:
    for detail in _list(error.get("details")):
        if _object(detail).get("@type") == type_name:
            yield detail


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
