from datetime import timedelta

import structlog
from celery import shared_task

from medtrack.common.clock import database_now
from notifications import dispatcher, heartbeats, queue  # noqa: F401 - workers and beat give signs of life
from notifications.erasing import sweep_erased
from notifications.silence import mark_silent
from notifications.violations import record_check

log = structlog.get_logger(__name__)

TIME_SLICE = timedelta(seconds=20)


@shared_task
def enqueue_reminders() -> None:
    if enqueued := queue.enqueue():
        log.info("reminders enqueued", reminders=enqueued)


@shared_task
def enqueue_follow_ups() -> None:
    if enqueued := queue.enqueue_follow_ups():
        log.info("follow-ups enqueued", reminders=enqueued)


@shared_task
def dispatch_reminders() -> None:
    dispatcher.dispatch(transport=dispatcher.transport(), pace=dispatcher.pace(), time_slice=TIME_SLICE)


@shared_task
def check_engine() -> None:
    sweep_erased()
    check = record_check()
    log.info("engine checked", seconds=check.seconds, violations=sum(check.violations.values()))


@shared_task
def mark_silent_devices() -> None:
    if silent := mark_silent(now=database_now()):
        log.info("devices silent", devices=silent)
