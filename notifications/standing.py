"""How the engine stands at this moment, in few cheap figures: what `/metrics` and the console say. No health data."""

from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models.functions import Now

from notifications.models import DeviceToken, EngineCheck, Heartbeat

# Only queued rows are read, through the index that holds no others.
QUEUE = """
    SELECT count(*), count(*) FILTER (WHERE send_at <= statement_timestamp()), count(*) FILTER (WHERE retry_at IS NOT NULL),
           coalesce(extract(epoch FROM statement_timestamp() - least(min(send_at), statement_timestamp())), 0)::float8
    FROM notification_logs WHERE status = 'queued'
"""


class QueueState(NamedTuple):
    """Reminders: all that wait, those whose time has come, those that wait for another try; and how long the oldest
    whose time has come has waited."""

    queued: int
    overdue: int
    retrying: int
    oldest_seconds: float


def queue_state() -> QueueState:
    with connection.cursor() as cursor:
        cursor.execute(QUEUE)
        return QueueState(*cursor.fetchone())


def silent_devices() -> int:
    return DeviceToken.objects.silent().count()


def last_check() -> EngineCheck | None:
    return EngineCheck.objects.order_by("-id").first()


def heartbeats() -> dict[str, datetime]:
    """When each kind of process was last heard; one that never was is missing."""
    return dict(Heartbeat.objects.values_list("process", "at"))


def record_heartbeat(process: str) -> None:
    Heartbeat.objects.bulk_create(
        [Heartbeat(process=process, at=Now())],
        update_conflicts=True,
        unique_fields=["process"],
        update_fields=["at"],
    )
