"""The committed schema of the API, and what it says about all operations."""

from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from dosing import cycle_schemas
from dosing.dose_ids import dose_id
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

DOSE_IDS = """## Dose ids

The id of a planned dose is known before the dose is written, so that a client can record it offline. It is a UUID of
version 8: its first 48 bits are the milliseconds since 1970 of the log date's 00:00 UTC. The other 80 are the first
ones of SHA-256 over the schedule's id (16 bytes), the log date (`YYYY-MM-DD`, ASCII) and the ordinal (one byte), in
which version and variant replace their bits. The ordinal counts the doses of the schedule on the date: 0, and 1 where
travel makes a date happen twice.

| schedule | log date | ordinal | dose |
|---|---|---|---|
"""
_SCHEDULE = UUID("01990a4f-5230-7f11-b4c9-77aa31c0de32")
DESCRIBED_IDS = [
    (_SCHEDULE, date(2026, 11, 20), 0),
    (_SCHEDULE, date(2026, 11, 20), 1),
    (_SCHEDULE, date(2026, 11, 21), 0),
    (UUID(int=0), date(1970, 1, 1), 0),
    (UUID(int=2**128 - 1), date(2199, 12, 31), 255),
]


def schema(request: HttpRequest) -> HttpResponse:
    return HttpResponse(SCHEMA_FILE.read_bytes(), content_type="application/vnd.oai.openapi; charset=utf-8")


def describe_operations(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's post-processing hook."""
    result["tags"] = [{"name": name, "description": description} for name, description in TAGS.items()]
    # After the hook that makes components of enums, which would look for the weekdays in a model.
    result["components"]["schemas"] |= cycle_schemas.COMPONENTS
    # The first request with a token of an outside issuer opens a session.
    of_sessions = (NotAuthenticated, AuthenticationFailed, SessionEnded, IssuerUnavailable, LimitReached)
    result["info"]["description"] += "\n\n" + _dose_ids()
    return describe(result, of_sessions=of_sessions)


def _dose_ids() -> str:
    rows = [
        f"| `{schedule}` | {day} | {ordinal} | `{dose_id(schedule, day, ordinal)}` |"
        for schedule, day, ordinal in DESCRIBED_IDS
    ]
    return DOSE_IDS + "\n".join(rows)
