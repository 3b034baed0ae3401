"""One valid request for every operation of the schema: a row for each kind of id in a path and for each body.

What tests do to all operations starts here; a new operation without its rows fails them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.utils import timezone

from medtrack.tests.support.api import SCHEMA, Client, resolved
from medtrack.tests.support.builders import PASSWORD, session_of
from medtrack.tests.support.owned_objects import OwnedObjects
from users.links import EmailLink, PasswordLink
from users.tests.issuer import LocalIssuer

ISSUER = LocalIssuer()


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    is_open: bool
    parameters: list[dict[str, Any]]
    body: dict[str, Any] | None

    @property
    def path_ids(self) -> list[str]:
        return [parameter["name"] for parameter in self.parameters if parameter["in"] == "path"]

    @property
    def query(self) -> dict[str, dict[str, Any]]:
        return {
            parameter["name"]: parameter["schema"]
            for parameter in self.parameters
            if parameter["in"] == "query"
        }

    @property
    def required_query(self) -> set[str]:
        return {one["name"] for one in self.parameters if one["in"] == "query" and one.get("required")}

    @property
    def body_ids(self) -> list[str]:
        """Fields that name something of somebody's, or something that the client creates."""
        fields = self.body["properties"] if self.body else {}
        return [name for name, field in fields.items() if "uuid" in json.dumps(field)]

    @property
    def writes(self) -> bool:
        return self.method != "GET"


def _operation(method: str, path: str, described: Mapping[str, Any]) -> Operation:
    content = described.get("requestBody", {}).get("content", {})
    body = resolved(content["application/json"]["schema"]) if content else None
    is_open = not described["security"]
    return Operation(
        described["operationId"], method.upper(), path, is_open, described.get("parameters", []), body
    )


OPERATIONS = [
    _operation(method, path, described)
    for path, methods in SCHEMA["paths"].items()
    for method, described in methods.items()
]

PATH_IDS: dict[str, Callable[[OwnedObjects], object]] = {
    "medication_id": lambda mine: mine.medication.id,
    "schedule_id": lambda mine: mine.schedule.id,
    "dose_id": lambda mine: mine.dose.id,
    "device_id": lambda mine: mine.device.id,
    "notification_id": lambda mine: mine.notification_id,
    "trip_id": lambda mine: mine.trip.id,
    "session_id": lambda mine: session_of(mine.user).id,
}
# Operations that have parameters without a default.
QUERIES: dict[str, Callable[[OwnedObjects], dict[str, object]]] = {
    "traceDate": lambda mine: {"schedule": mine.schedule.id, "date": mine.dose.log_date},
}
# Operations on a dose that was answered.
ON_TAKEN_DOSES = {"undoDose", "amendDose"}


def _event(mine: OwnedObjects) -> dict[str, Any]:
    return {"event_id": str(uuid4()), "occurred_at": timezone.now().isoformat()}


_MEDICATION = {
    "name": "Aspirin",
    "dosage": "100 mg",
    "form": "capsule",
    "strength": "100",
    "unit": "mg",
    "color_tag": "#ABCDEF",
    "memo": "Not on an empty stomach",
    "expires_on": "2030-01-31",
}
_SCHEDULE = {
    "scheduled_time": "21:15",
    "timezone": "Asia/Tokyo",
    "cycle_type": "interval",
    "cycle_value": {"every": 2},
    "quantity": "0.5",
    "meal_relation": "with",
    "start_date": "2026-01-01",
    "end_date": "2100-01-01",
    "is_active": True,
    "reminder_enabled": False,
}
_REMINDING = {"private_push_text": True, "follow_up_interval_minutes": 15, "follow_up_cap": 2}
BODIES: dict[str, Callable[[OwnedObjects], dict[str, Any]]] = {
    "signUp": lambda _: {
        "email": f"{uuid4()}@example.com",
        "password": PASSWORD,
        "name": "Dora",
        "timezone": "Asia/Tokyo",
        "language": "ja",
        "device_name": "Tablet",
    },
    "logIn": lambda mine: {
        "email": mine.user.email,
        "password": PASSWORD,
        "device_name": "Tablet",
        "end_session": str(session_of(mine.user).id),
    },
    "refreshSession": lambda mine: {"refresh": mine.credentials.refresh},
    "logInSocially": lambda mine: {
        "provider": "google",
        "id_token": ISSUER.token(sub=str(mine.user.id)),
        "device_name": "Tablet",
    },
    "forgotPassword": lambda mine: {"email": mine.user.email},
    "resetPassword": lambda mine: {
        "token": PasswordLink(now=timezone.now()).token(mine.user),
        "password": "seven quiet rivers",
    },
    "changePassword": lambda _: {"password": PASSWORD, "new_password": "seven quiet rivers"},
    "verifyEmail": lambda mine: {"token": EmailLink(now=timezone.now()).token(mine.user)},
    "deleteMe": lambda _: {"password": PASSWORD},
    "updateMe": lambda _: {
        "name": "Dora",
        "timezone": "Asia/Tokyo",
        "language": "ja",
        "week_start": 7,
        "dry_run": False,
        **_REMINDING,
    },
    "createTrip": lambda _: {
        "id": str(uuid4()),
        "timezone": "Asia/Tokyo",
        "starts_at": (timezone.now() + timedelta(days=1)).isoformat(),
        "ends_at": (timezone.now() + timedelta(days=2)).isoformat(),
    },
    "createMedication": lambda _: {"id": str(uuid4()), **_MEDICATION},
    "updateMedication": lambda _: {**_MEDICATION, "is_active": False, "version": 1},
    "pauseMedication": lambda _: {"until": (timezone.now() + timedelta(days=3)).isoformat()},
    "cloneMedication": lambda _: {"id": str(uuid4()), "name": "Aspirin"},
    "createSchedule": lambda _: {"id": str(uuid4()), **_SCHEDULE},
    "updateSchedule": lambda _: {**_SCHEDULE, "version": 1},
    "logIntake": lambda mine: {
        "id": str(uuid4()),
        "medication_id": str(mine.as_needed.medication_id),
        "schedule_id": str(mine.as_needed.id),
        "taken_at": timezone.now().isoformat(),
        "quantity": "2",
        "note": "Headache",
        "override": True,
    },
    "takeDose": lambda mine: _event(mine) | {"quantity": "2", "note": "After dinner"},
    "skipDose": lambda mine: _event(mine) | {"reason": "Sick", "note": "Since noon"},
    "undoDose": _event,
    "snoozeDose": lambda mine: _event(mine) | {"minutes": 30},
    "amendDose": lambda mine: (
        _event(mine) | {"taken_at": timezone.now().isoformat(), "quantity": "3", "note": "Later"}
    ),
    "recordDoseEvents": lambda mine: {
        "events": [_event(mine) | {"action": "take", "dose_id": str(mine.dose.id), "note": "On the train"}]
    },
    "readAllNotifications": lambda _: {"until": timezone.now().isoformat()},
    "registerDevice": lambda _: {
        "token": f"token-{uuid4()}",
        "platform": "ios",
        "device_id": "tablet",
        "app_version": "2.0",
    },
    "acknowledgeNotification": lambda _: {"state": "shown", "occurred_at": timezone.now().isoformat()},
    "replaceNotificationSettings": lambda _: {
        "quiet_hours": {"start_time": "22:00", "end_time": "07:00"},
        **_REMINDING,
    },
}


def path_of(operation: Operation, mine: OwnedObjects) -> str:
    """The path with the ids of this person's belongings, and with the parameters that must be there."""
    ids = {name: PATH_IDS[name](mine) for name in operation.path_ids}
    if operation.id in ON_TAKEN_DOSES:
        ids["dose_id"] = mine.taken.id
    path = operation.path.format(**ids)
    return f"{path}?{urlencode(QUERIES[operation.id](mine))}" if operation.id in QUERIES else path


def with_query(operation: Operation, mine: OwnedObjects, query: str) -> str:
    """The path of `path_of` with more parameters."""
    path = path_of(operation, mine)
    return f"{path}{'&' if '?' in path else '?'}{query}"


def body_of(operation: Operation, mine: OwnedObjects) -> dict[str, Any] | None:
    return BODIES[operation.id](mine) if operation.body else None


def send(client: Client, operation: Operation, path: str, body: object = None) -> Any:
    data = "" if body is None else json.dumps(body)
    return client.generic(operation.method, path, data, content_type="application/json")


def call(client: Client, operation: Operation, mine: OwnedObjects) -> Any:
    """The valid request, about this person's belongings."""
    return send(client, operation, path_of(operation, mine), body_of(operation, mine))
