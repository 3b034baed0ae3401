"""The error bodies of FCM's HTTP v1 API (google.rpc.Status as JSON), with its documented texts."""

from collections.abc import Sequence
from dataclasses import dataclass

from medtrack.development.fcm.exchanges import Answer

Detail = dict[str, object]

INVALID_TOKEN = "The registration token is not a valid FCM registration token"  # noqa: S105 - a sentence
_OAUTH_HINT = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


@dataclass(slots=True, frozen=True)
class Violation:
    field: str
    description: str


def status(
    code: int, name: str, message: str, *details: Detail, headers: Sequence[tuple[str, str]] = ()
) -> Answer:
    error: dict[str, object] = {"code": code, "message": message, "status": name}
    if details:
        error["details"] = list(details)
    return Answer.of(code, {"error": error}, *headers)


def fcm_error(code: str) -> Detail:
    return {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}


def apns_error(reason: str) -> Detail:
    return {
        "@type": "type.googleapis.com/google.firebase.fcm.v1.ApnsError",
        "statusCode": 400,
        "reason": reason,
    }


def bad_request(violations: Sequence[Violation]) -> Detail:
    return {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [
            ({"field": violation.field} if violation.field else {}) | {"description": violation.description}
            for violation in violations
        ],
    }


def error_info(reason: str, domain: str, **metadata: str) -> Detail:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    }


def unreadable(violations: Sequence[Violation]) -> Answer:
    """The JSON does not match the API's types. Google's front end refuses it, so there is no FcmError."""
    message = "\n".join(violation.description for violation in violations)
    return status(400, "INVALID_ARGUMENT", message, bad_request(violations))


def invalid_argument(violation: Violation, *details: Detail) -> Answer:
    return status(
        400,
        "INVALID_ARGUMENT",
        violation.description,
        fcm_error("INVALID_ARGUMENT"),
        bad_request([violation]),
        *details,
    )


def malformed_token() -> Answer:
    """FCM's usual answer to a malformed token; it has no field violation."""
    return status(400, "INVALID_ARGUMENT", INVALID_TOKEN, fcm_error("INVALID_ARGUMENT"))


def unregistered() -> Answer:
    return status(404, "NOT_FOUND", "Requested entity was not found.", fcm_error("UNREGISTERED"))


def sender_mismatch() -> Answer:
    return status(403, "PERMISSION_DENIED", "SenderId mismatch", fcm_error("SENDER_ID_MISMATCH"))


def third_party_auth() -> Answer:
    message = "Auth error from APNS or Web Push Service"
    return status(401, "UNAUTHENTICATED", message, fcm_error("THIRD_PARTY_AUTH_ERROR"))


def quota_exceeded() -> Answer:
    message = "Resource has been exhausted (e.g. check quota)."
    return status(429, "RESOURCE_EXHAUSTED", message, fcm_error("QUOTA_EXCEEDED"))


def project_quota_exceeded() -> Answer:
    """Google's front end checks the quota per minute and project, so there is no FcmError."""
    message = (
        "Quota exceeded for quota metric 'Send requests' and limit 'Send requests per minute' "
        "of service 'fcm.googleapis.com' for consumer 'project_number:000000000000'."
    )
    limit = error_info(
        "RATE_LIMIT_EXCEEDED",
        "googleapis.com",
        service="fcm.googleapis.com",
        quota_metric="fcm.googleapis.com/send_requests",
        quota_limit="SendsPerMinutePerProject",
        quota_unit="1/min/{project}",
    )
    return status(429, "RESOURCE_EXHAUSTED", message, limit)


def internal() -> Answer:
    return status(500, "INTERNAL", "Internal error encountered.", fcm_error("INTERNAL"))


def unavailable() -> Answer:
    return status(503, "UNAVAILABLE", "The service is currently unavailable.", fcm_error("UNAVAILABLE"))


def credentials_missing() -> Answer:
    message = f"Request is missing required authentication credential. {_OAUTH_HINT}"
    return _unauthenticated(message, "CREDENTIALS_MISSING", 'Bearer realm="https://accounts.google.com/"')


def credentials_invalid() -> Answer:
    message = f"Request had invalid authentication credentials. {_OAUTH_HINT}"
    challenge = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
    return _unauthenticated(message, "ACCESS_TOKEN_TYPE_UNSUPPORTED", challenge)


def _unauthenticated(message: str, reason: str, challenge: str) -> Answer:
    method = "google.firebase.fcm.v1.FcmService.SendMessage"
    info = error_info(reason, "googleapis.com", service="fcm.googleapis.com", method=method)
    return status(401, "UNAUTHENTICATED", message, info, headers=[("www-authenticate", challenge)])


def permission_denied(project: str) -> Answer:
    permission = "cloudmessaging.messages.create"
    message = (
        f"Permission '{permission}' denied on resource "
        f"'//cloudresourcemanager.googleapis.com/projects/{project}' (or it may not exist)."
    )
    info = error_info(
        "IAM_PERMISSION_DENIED",
        "cloudresourcemanager.googleapis.com",
        permission=permission,
        resource=f"projects/{project}",
    )
    return status(403, "PERMISSION_DENIED", message, info)


def not_found() -> Answer:
    return status(404, "NOT_FOUND", "Method not found.")


def method_not_allowed(allowed: str) -> Answer:
    message = f"The request method is not supported here; use {allowed}."
    return status(405, "METHOD_NOT_ALLOWED", message, headers=[("allow", allowed)])
