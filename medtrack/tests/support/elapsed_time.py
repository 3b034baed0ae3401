"""Lets time pass between two steps of a test: all timestamps are moved into the past."""

from datetime import timedelta

from django.db import connection, transaction

from medtrack.tests.support.database_role import OWNER, acting_as

_INSTANTS = {
    "dose_logs": ("due_at", "answer_by", "snoozed_until", "reopened_until", "withdrawn_at", "created_at"),
    "notification_logs": (
        "due_at",
        "send_at",
        "expires_at",
        "sent_at",
        "claimed_at",
        "closed_at",
        "retry_at",
        "lease_until",
        "created_at",
    ),
    "push_deliveries": ("claimed_at", "answered_at", "arrived_at", "shown_at", "opened_at"),
    "device_tokens": (
        "created_at",
        "owned_since",
        "last_seen_at",
        "suspect_since",
        "probed_at",
        "silent_since",
        "revoked_at",
    ),
    "firebase_projects": ("accepted_at", "another_accepted_at"),
    "dose_events": ("recorded_at",),
    "medication_events": ("recorded_at",),
    "sessions": ("revoked_at",),
    "schedules": ("rule_changed_at", "created_at", "updated_at"),
    "medications": ("paused_at", "paused_until", "created_at", "updated_at"),
    "users": ("created_at", "updated_at"),
}


def move_into_past(minutes: float) -> None:
    """Moves all timestamps that many minutes into the past, except those of doses due in more than an hour."""
    age = timedelta(minutes=minutes)
    with transaction.atomic(), acting_as(OWNER), connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL session_replication_role = replica"
        )  # past the triggers: events are append-only
        for table, names in _INSTANTS.items():
            moved = ", ".join(f"{name} = {name} - %(age)s" for name in names)
            which = "WHERE due_at < now() + interval '1 hour'" if table == "dose_logs" else ""
            cursor.execute(f"UPDATE {table} SET {moved} {which}", {"age": age})  # type: ignore[dict-item]
        cursor.execute("SET LOCAL session_replication_role = origin")
