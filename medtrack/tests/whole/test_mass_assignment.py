"""What a request may set: every operation that writes is sent the name of every column there is.

Its columns and rows must be those of this list, and their values those of a request without the extra fields.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps

from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import person
from medtrack.tests.support.calls import OPERATIONS, Operation, body_of, path_of, send
from medtrack.tests.support.owned_objects import (
    OwnedObjects,
    Rows,
    all_rows,
    owned_objects_of,
    undone,
    written,
)
from users.actions import Credentials

# The columns that each operation changes, `+` for new rows.
WRITES = {
    "signUp": "sessions: +; users: +",
    "logIn": "sessions: + revoked_at",
    "refreshSession": "sessions: expires_at last_used_at previous_token_hash refresh_token_hash",
    "logInSocially": "identities: +; sessions: +; users: +",
    "logOut": "sessions: revoked_at",
    "forgotPassword": "",
    "resetPassword": "sessions: revoked_at; users: email_verified_at password updated_at",
    "changePassword": "users: password updated_at",
    "verifyEmail": "users: email_verified_at updated_at",
    "sendVerification": "",
    "endSession": "sessions: revoked_at",
    "deleteMe": (
        "device_tokens: -; dose_events: -; dose_logs: -; medication_events: -; medications: -; notification_logs: -; push_deliveries: -; "
        "rate_counters: -; schedules: -; sessions: -; users: deleted_at email is_active language name password private_push_text "
        "timezone updated_at"
    ),
    "updateMe": (
        "rate_counters: +; users: follow_up_cap follow_up_interval_minutes language name private_push_text timezone updated_at "
        "week_start"
    ),
    "createMedication": "idempotency_keys: +; medication_events: +; medications: +; rate_counters: times",
    "updateMedication": (
        "medication_events: +; medications: color_tag described_at dosage expires_on form is_active memo name strength unit "
        "updated_at version; rate_counters: times"
    ),
    "deleteMedication": (
        "medication_events: +; medications: deleted_at is_active updated_at version; rate_counters: times; "
        "schedules: deleted_at is_active updated_at version"
    ),
    "pauseMedication": (
        "medication_events: +; medications: paused_at paused_until updated_at version; rate_counters: times"
    ),
    "resumeMedication": "",
    "cloneMedication": "idempotency_keys: +; medication_events: +; medications: +; rate_counters: times; schedules: +",
    "createSchedule": "idempotency_keys: +; medication_events: +; rate_counters: times; schedules: +",
    "updateSchedule": (
        "medication_events: +; rate_counters: times; schedules: cycle_type cycle_value end_date meal_relation quantity reminder_enabled "
        "rule_changed_at scheduled_time start_date updated_at version"
    ),
    "deleteSchedule": (
        "medication_events: +; rate_counters: times; schedules: deleted_at is_active updated_at version"
    ),
    "logIntake": "dose_events: +; dose_logs: +; idempotency_keys: +",
    "takeDose": "dose_events: +; dose_logs: note recorded_by_id status taken_at taken_quantity",
    "skipDose": "dose_events: +; dose_logs: note recorded_by_id skip_reason skipped_at status",
    "undoDose": "dose_events: +; dose_logs: answer_by note recorded_by_id reopened_until status taken_at",
    "snoozeDose": "dose_events: +; dose_logs: snoozed_until",
    "amendDose": "dose_events: +; dose_logs: note taken_at taken_quantity",
    "recordDoseEvents": "dose_events: +; dose_logs: note recorded_by_id status taken_at",
    "readNotification": "notification_logs: read_at",
    "readAllNotifications": "notification_logs: read_at",
    "registerDevice": "device_tokens: +",
    "removeDevice": "device_tokens: revoke_reason revoked_at",
    "testDevice": "notification_logs: +; rate_counters: +",
    "acknowledgeNotification": "push_deliveries: arrived_at shown_at",
    "replaceNotificationSettings": (
        "users: follow_up_cap follow_up_interval_minutes private_push_text quiet_hours_end_time "
        "quiet_hours_start_time updated_at"
    ),
}
# These also plan anew; how many doses that moves is told by the hour of the day.
PLANNING = {
    "updateMe",
    "updateMedication",
    "deleteMedication",
    "pauseMedication",
    "cloneMedication",
    "createSchedule",
    "updateSchedule",
    "deleteSchedule",
}
PLANNED = {"dose_logs": {"+", "-", "answer_by", "due_at", "withdrawn_at"}, "schedules": {"planned_until"}}
ALIASES = {
    *("user", "user_id", "owner", "owner_id", "patient", "patient_id", "by", "session", "recorded_by"),
    *("is_admin", "is_superuser", "is_staff", "isStaff", "admin", "role", "roles", "groups", "permissions"),
    *(
        "pk",
        "_id",
        "uuid",
        "now",
        "created",
        "modified",
        "deleted",
        "medication",
        "schedule",
        "dose",
        "device",
    ),
    *("__class__", "__dict__", "_state", "objects", "defaults", "changes", "partial", "instance", "context"),
}
HOSTILE: list[dict[type, Any]] = [
    {bool: True, int: 4242, str: "hostile", datetime: "2001-01-01T00:00:00Z"},
    {bool: False, int: -1, str: "", datetime: None},
]
WRITING = [operation for operation in OPERATIONS if operation.writes]


def columns() -> dict[str, str]:
    """Every field and column name of every model, with the kind of its values."""
    fields = [field for model in apps.get_models() for field in model._meta.concrete_fields]
    return {
        name: field.get_internal_type() for field in fields for name in (field.name, field.attname)
    } | dict.fromkeys(ALIASES, "ForeignKey")


@pytest.fixture
def anas(ana: Credentials) -> OwnedObjects:
    return owned_objects_of(ana)


@pytest.fixture
def strangers_id() -> str:
    return str(person("Cleo").user.id)


@pytest.mark.parametrize("variant", [0, 1])
def test_no_request_sets_what_it_is_not_offered(
    anas: OwnedObjects, strangers_id: str, subtests: pytest.Subtests, variant: int
) -> None:
    client = Client(anas.credentials)
    for operation in WRITING:
        with subtests.test(operation.id):
            body = body_of(operation, anas)
            before = all_rows()
            honest = rows_after(client, operation, anas, body)
            hostile = rows_after(client, operation, anas, polluted(operation, body, strangers_id, variant))
            assert told(operation, written(before, hostile)) == WRITES[operation.id]
            assert settled(before, hostile) == settled(before, honest)


def rows_after(client: Client, operation: Operation, mine: OwnedObjects, body: object) -> Rows:
    with undone():
        response = send(client, operation, path_of(operation, mine), body)
        assert response.status_code < 300, response.content
        return all_rows()


def polluted(operation: Operation, body: Any, strangers_id: str, variant: int) -> Any:
    """The body with every name that it is not offered, also inside of what is nested."""
    kinds = {"BooleanField": bool, "DateTimeField": datetime}
    values = HOSTILE[variant]
    extra: dict[str, Any] = {}
    for name, kind in columns().items():
        if kind in ("ForeignKey", "UUIDField"):
            extra[name] = strangers_id
        elif "Integer" in kind or kind in ("DecimalField", "FloatField"):
            extra[name] = values[int]
        else:
            extra[name] = values[kinds.get(kind, str)]
    offered = operation.body["properties"].keys() if operation.body else set()
    extra["user"] = extra["owner"] = {"id": strangers_id, "is_staff": True, "is_superuser": True}
    nested = {
        name: extra | value
        for name, value in (body or {}).items()
        if isinstance(value, dict) and name != "cycle_value"
    }
    return {name: value for name, value in extra.items() if name not in offered} | (body or {}) | nested


def told(operation: Operation, changes: dict[str, set[str]]) -> str:
    planned = PLANNED if operation.id in PLANNING else {}
    left = {table: names - planned.get(table, set()) for table, names in changes.items()}
    return "; ".join(f"{table}: {' '.join(sorted(names))}" for table, names in sorted(left.items()) if names)


def settled(before: Rows, after: Rows) -> list[str]:
    """What is there afterwards, without what differs from one request to the next: new ids, secrets, this moment."""
    known = {row["id"] for row in before.values() if isinstance(row.get("id"), UUID)}
    moments = {value for row in before.values() for value in row.values() if isinstance(value, datetime)}

    def plain(value: Any) -> Any:
        if isinstance(value, UUID):
            return value if value in known else "new"
        if isinstance(value, datetime):
            return value if value in moments or value.second == value.microsecond == 0 else "now"
        return (
            "secret"
            if isinstance(value, memoryview | bytes) or str(value).startswith(("argon2", "!"))
            else value
        )

    rows = (
        f"{table} { {name: plain(value) for name, value in row.items()} }"
        for (table, _key), row in after.items()
    )
    return sorted(rows)
