"""What a request may set: every operation that writes is sent the name of every column there is.

It refuses them and writes nothing. Where extra fields are ignored (inside events, and fields that are computed),
the rows are those of a request without them. Without extra fields, the columns are those of this list.
"""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps

from medtrack.tests.support.api import SCHEMA, Client
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
        "rate_counters: -; schedules: -; sessions: -; trips: -; users: deleted_at email is_active language name password private_push_text "
        "timezone updated_at"
    ),
    "updateMe": (
        "rate_counters: times; users: follow_up_cap follow_up_interval_minutes language name private_push_text timezone updated_at "
        "week_start"
    ),
    "createTrip": "rate_counters: times; trips: +",
    "deleteTrip": "trips: -",
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
        "rule_changed_at scheduled_time start_date timezone updated_at version"
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
PLANNED = {
    "dose_logs": {"+", "-", "answer_by", "due_at", "withdrawn_at"},
    "schedules": {"planned_until", "travel"},
}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+\.\d+(Z|\+00:00)")
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


def test_a_request_sets_the_columns_of_its_operation(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client = Client(anas.credentials)
    for operation in WRITING:
        with subtests.test(operation.id):
            before = all_rows()
            after = rows_after(client, operation, anas, body_of(operation, anas))
            assert told(operation, written(before, after)) == WRITES[operation.id]


@pytest.mark.parametrize("variant", [0, 1])
def test_no_request_sets_what_it_is_not_offered(
    anas: OwnedObjects, strangers_id: str, subtests: pytest.Subtests, variant: int
) -> None:
    client, before = Client(anas.credentials), all_rows()
    for operation in WRITING:
        with subtests.test(operation.id):
            body = body_of(operation, anas) or {}
            extra = extra_fields(operation, strangers_id, variant)
            accepted = extra.keys() - refused_names(client, operation, anas, body, extra)
            assert all_rows() == before
            # Computed fields, and those that have this value already.
            assert len(accepted) <= 6
            honest = rows_after(client, operation, anas, body)
            hostile = rows_after(client, operation, anas, {name: extra[name] for name in accepted} | body)
            assert settled(before, hostile) == settled(before, honest)


@pytest.mark.parametrize("variant", [0, 1])
def test_what_is_nested_is_refused_too(anas: OwnedObjects, strangers_id: str, variant: int) -> None:
    client, before = Client(anas.credentials), all_rows()
    (operation,) = (one for one in WRITING if one.id == "replaceNotificationSettings")
    extra = extra_fields(operation, strangers_id, variant)
    body = body_of(operation, anas) or {}
    body["quiet_hours"] |= {name: extra[name] for name in sorted(extra)[:20]}
    response = send(client, operation, path_of(operation, anas), body)
    assert {error["field"] for error in response.json()["errors"]} == {
        f"quiet_hours.{name}" for name in sorted(extra)[:20]
    }
    assert all_rows() == before


@pytest.mark.parametrize("variant", [0, 1])
def test_no_event_sets_what_it_is_not_offered(anas: OwnedObjects, strangers_id: str, variant: int) -> None:
    client, before = Client(anas.credentials), all_rows()
    (operation,) = (one for one in WRITING if one.id == "recordDoseEvents")
    offered = SCHEMA["components"]["schemas"]["EventInputRequest"]["properties"]
    extra = extra_fields(operation, strangers_id, variant)
    extra = {name: value for name, value in extra.items() if name not in offered}
    body = body_of(operation, anas) or {}
    honest = rows_after(client, operation, anas, body)
    hostile = rows_after(client, operation, anas, {"events": [extra | event for event in body["events"]]})
    assert settled(before, hostile) == settled(before, honest)


def refused_names(
    client: Client, operation: Operation, mine: OwnedObjects, body: dict[str, Any], extra: dict[str, Any]
) -> set[str]:
    """The names for which the operation refuses the body. A response lists twenty unknown ones."""
    names, refused = sorted(extra), set()
    for start in range(0, len(names), 20):
        some = {name: extra[name] for name in names[start : start + 20]}
        with undone():
            response = send(client, operation, path_of(operation, mine), some | body)
            assert response.status_code == 400
            errors = response.json()["errors"]
            assert {error["code"] for error in errors} <= {"unknown", "read_only"}
            refused |= {error["field"] for error in errors}
    return refused


def rows_after(client: Client, operation: Operation, mine: OwnedObjects, body: object) -> Rows:
    with undone():
        response = send(client, operation, path_of(operation, mine), body)
        assert response.status_code < 300, response.content
        return all_rows()


def extra_fields(operation: Operation, strangers_id: str, variant: int) -> dict[str, Any]:
    """Every name that the operation is not offered, with a hostile value."""
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
    extra["user"] = extra["owner"] = {"id": strangers_id, "is_staff": True, "is_superuser": True}
    offered = operation.body["properties"].keys() if operation.body else set()
    return {name: value for name, value in extra.items() if name not in offered}


def told(operation: Operation, changes: dict[str, set[str]]) -> str:
    planned = PLANNED if operation.id in PLANNING else {}
    if operation.id == "updateMe":
        # At some hours a flight leaves out a date, which is recorded.
        planned = {**planned, "medication_events": {"+"}}
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
        if isinstance(value, str) and value.startswith("{"):
            # Events of changes contain instants as text.
            return INSTANT.sub("now", value)
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
