"""The committed schema of the API, and what it says about all operations."""

from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from dosing import cycle_schemas
from medtrack.http.openapi import describe
from medtrack.http.person_limits import LimitReached
from users.authentication import SessionEnded
from users.outside_tokens import IssuerUnavailable

SCHEMA_FILE = Path(__file__).resolve().parent / "schema.yml"
TAGS = {
    "auth": "Sign up, sign in and sign out. An access token is valid for ten minutes; a refresh token works once.",
    "me": "The caller's profile and preferences.",
    "medications": "The caller's medications.",
    "schedules": "When a medication is taken: one time of day, on the dates of a cycle.",
    "doses": "Planned doses and as-needed intakes, and whether they were taken.",
    "adherence": "How many of the due doses were taken.",
    "devices": "The installed apps that receive pushes.",
    "notifications": "Reminders that were pushed, and their settings.",
}


def schema(request: HttpRequest) -> HttpResponse:
    return HttpResponse(SCHEMA_FILE.read_bytes(), content_type="application/vnd.oai.openapi; charset=utf-8")


def describe_operations(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's post-processing hook."""
    result["tags"] = [{"name": name, "description": description} for name, description in TAGS.items()]
    # After the hook that makes components of enums, which would look for the weekdays in a model.
    result["components"]["schemas"] |= cycle_schemas.COMPONENTS
    # The first request with a token of an outside issuer opens a session.
    of_sessions = (NotAuthenticated, AuthenticationFailed, SessionEnded, IssuerUnavailable, LimitReached)
    return describe(result, of_sessions=of_sessions)
