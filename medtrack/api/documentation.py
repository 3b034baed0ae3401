"""The API's schema, as committed, and what it says of all operations."""

from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from medtrack.http.openapi import describe
from medtrack.http.person_limits import LimitReached
from users.authentication import SessionEnded
from users.outside_tokens import IssuerUnavailable

SCHEMA_FILE = Path(__file__).resolve().parent / "schema.yml"
TAGS = {
    "auth": "Signing up, in and out. An access token lives ten minutes; a refresh token works once.",
    "me": "The caller's profile and preferences.",
    "medications": "What is taken.",
    "schedules": "When it is taken: one time of day each, on the dates of its cycle.",
    "doses": "What falls due, and what became of it.",
    "adherence": "How well doses were answered.",
    "devices": "The app installs that reminders are pushed to.",
    "notifications": "Reminders, and how they are sent.",
}


def schema(request: HttpRequest) -> HttpResponse:
    return HttpResponse(SCHEMA_FILE.read_bytes(), content_type="application/vnd.oai.openapi; charset=utf-8")


def describe_operations(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's post-processing hook."""
    result["tags"] = [{"name": name, "description": description} for name, description in TAGS.items()]
    # The first request with a token of an outside issuer opens a session.
    of_sessions = (NotAuthenticated, AuthenticationFailed, SessionEnded, IssuerUnavailable, LimitReached)
    return describe(result, of_sessions=of_sessions)
