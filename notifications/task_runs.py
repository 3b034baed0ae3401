"""Records in PostgreSQL when each periodic task last succeeded and how it last failed."""

import time
from datetime import datetime, timedelta
from typing import Any

import structlog
from celery import current_app
from celery.signals import task_postrun, task_prerun
from django.db import DatabaseError, InterfaceError
from django.db.models.functions import Now

from notifications.models import TaskRun

ENQUEUE = "notifications.tasks.enqueue_reminders"

log = structlog.get_logger(__name__)

_started: dict[str, float] = {}


@task_prerun.connect
def task_begins(task_id: str, **_: Any) -> None:
    _started[task_id] = time.monotonic()


@task_postrun.connect
def task_ended(task_id: str, task: Any, state: str, retval: Any, **_: Any) -> None:
    seconds = time.monotonic() - _started.pop(task_id, time.monotonic())
    if task.name not in periodic_tasks():
        return
    try:
        if state == "SUCCESS":
            record_success(task.name, seconds=seconds)
        elif state == "FAILURE":
            record_failure(task.name, error=type(retval).__name__)
    except (DatabaseError, InterfaceError) as error:
        log.warning("the run of a task was not recorded", task=task.name, error=type(error).__name__)


def periodic_tasks() -> set[str]:
    return {entry["task"] for entry in current_app.conf.beat_schedule.values()}


def record_success(task: str, *, seconds: float) -> None:
    _upsert(TaskRun(task=task, finished_at=Now(), seconds=seconds), ["finished_at", "seconds"])


def record_failure(task: str, *, error: str) -> None:
    _upsert(TaskRun(task=task, failed_at=Now(), error=error), ["failed_at", "error"])


def last_enqueued_at() -> datetime | None:
    """When the last successful run of the enqueue task began; None if there was none."""
    run = TaskRun.objects.filter(task=ENQUEUE, finished_at__isnull=False).first()
    if run is None or run.finished_at is None:
        return None
    return run.finished_at - timedelta(seconds=run.seconds or 0)


def _upsert(run: TaskRun, fields: list[str]) -> None:
    TaskRun.objects.bulk_create([run], update_conflicts=True, unique_fields=["task"], update_fields=fields)
