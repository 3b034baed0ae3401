"""The state of the engine in a few cheap figures, for `/metrics` and the console. No health data."""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models.functions import Now

from notifications.models import DeviceToken, EngineCheck, Heartbeat, TaskRun

# Only queued rows are read, through the index that holds no others.
QUEUE = """
    SELECT count(*), count(*) FILTER (WHERE send_at <= statement_timestamp()),
           count(*) FILTER (WHERE retry_at IS NOT NULL),
           coalesce(extract(epoch FROM statement_timestamp() - least(min(send_at), statement_timestamp())), 0)::float8
    FROM notification_logs WHERE status = 'queued'
"""
# How long after its last success a periodic task counts as overdue: a few of its periods.
OVERDUE_AFTER = {
    "dosing.tasks.plan_doses": timedelta(minutes=15),
    "dosing.tasks.settle_doses": timedelta(minutes=5),
    "dosing.tasks.end_pauses": timedelta(minutes=5),
    "dosing.tasks.start_and_end_trips": timedelta(minutes=5),
    "notifications.tasks.enqueue_reminders": timedelta(minutes=1),
    "notifications.tasks.enqueue_follow_ups": timedelta(minutes=2),
    "notifications.tasks.dispatch_reminders": timedelta(minutes=1),
    "notifications.tasks.clear_silent_devices": timedelta(minutes=5),
    "notifications.tasks.mark_silent_devices": timedelta(hours=3),
    "medtrack.console.tasks.refresh_summaries": timedelta(minutes=20),
    "notifications.tasks.delete_reminders_of_erased_users": timedelta(hours=26),
    "notifications.tasks.check_engine": timedelta(hours=26),
}


class QueueState(NamedTuple):
    """Queued reminders: all, those whose time has come, and those that are tried again.

    `oldest_seconds` is for how long the oldest one whose time has come has waited.
    """

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


def suspect_devices() -> int:
    return DeviceToken.objects.suspect().count()


def last_check() -> EngineCheck | None:
    return EngineCheck.objects.order_by("-id").first()


def heartbeats() -> dict[str, datetime]:
    """The last heartbeat of each kind of process that has ever sent one."""
    return dict(Heartbeat.objects.values_list("process", "at"))


def task_runs() -> list[TaskRun]:
    """The periodic tasks that ran at least once."""
    return list(TaskRun.objects.filter(task__in=OVERDUE_AFTER).order_by("task"))


def record_heartbeat(process: str) -> None:
    Heartbeat.objects.bulk_create(
        [Heartbeat(process=process, at=Now())],
        update_conflicts=True,
        unique_fields=["process"],
        update_fields=["at"],
    )
