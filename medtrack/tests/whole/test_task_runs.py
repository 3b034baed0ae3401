from datetime import timedelta
from typing import Any

import pytest
from celery import current_app as app
from celery.signals import task_postrun, task_prerun
from django.db.utils import OperationalError
from django.utils import timezone
from structlog.testing import capture_logs

from notifications import task_runs
from notifications.models import TaskRun
from notifications.task_runs import ENQUEUE, last_enqueued_at, record_failure, record_success


def run(name: str, state: str, retval: Any = None) -> None:
    app.loader.import_default_modules()
    task = app.tasks[name]
    task_prerun.send(sender=task, task_id="1", task=task, args=(), kwargs={})
    task_postrun.send(sender=task, task_id="1", task=task, args=(), kwargs={}, retval=retval, state=state)


def test_a_task_that_succeeds_has_its_time_and_duration(db: None) -> None:
    run(ENQUEUE, "SUCCESS")
    (task_run,) = TaskRun.objects.all()
    assert task_run.task == ENQUEUE
    assert task_run.finished_at is not None
    assert timezone.now() - task_run.finished_at < timedelta(minutes=1)
    assert task_run.seconds is not None
    assert (task_run.error, task_run.is_failing) == ("", False)


def test_a_failed_task_keeps_its_last_success_and_stores_only_the_name_of_the_error(db: None) -> None:
    record_success(ENQUEUE, seconds=1)
    run(ENQUEUE, "FAILURE", OperationalError("Key (email)=(ana@example.com)"))
    task_run = TaskRun.objects.get()
    assert task_run.finished_at is not None
    assert (task_run.error, task_run.is_failing) == ("OperationalError", True)
    record_success(ENQUEUE, seconds=1)
    task_run.refresh_from_db()
    assert not task_run.is_failing


def test_a_task_that_never_succeeded_is_failing(db: None) -> None:
    record_failure(ENQUEUE, error="OperationalError")
    assert TaskRun.objects.get().is_failing


def test_a_task_that_a_request_queued_is_not_recorded(db: None) -> None:
    run("users.tasks.send_email_link", "SUCCESS")
    assert not TaskRun.objects.exists()


def test_a_run_started_its_duration_before_its_end(db: None) -> None:
    assert last_enqueued_at() is None
    record_failure(ENQUEUE, error="OperationalError")
    assert last_enqueued_at() is None
    record_success(ENQUEUE, seconds=30)
    began = last_enqueued_at()
    assert began is not None
    assert timedelta(seconds=30) <= timezone.now() - began < timedelta(seconds=90)


def test_a_worker_continues_without_the_database(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(task_runs, "_upsert", away)
    with capture_logs() as lines:
        run(ENQUEUE, "SUCCESS")
    assert [line["event"] for line in lines] == ["the run of a task was not recorded"]
