from datetime import timedelta

import structlog
from celery import shared_task

from medtrack.database.clock import database_now
from notifications import dispatcher, heartbeats, queue, task_runs  # noqa: F401 - two connect signals
from notifications.actions import erasing
from notifications.silent_devices import clear_silent, mark_silent
from notifications.transports.results import FirebaseNotConfigured
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


@shared_task(throws=(FirebaseNotConfigured,))
def dispatch_reminders() -> None:
    try:
        transport = dispatcher.transport()
    except FirebaseNotConfigured as error:
        log.error("nothing is sent", reason=str(error))
        raise
    dispatcher.dispatch(transport=transport, pace=dispatcher.pace(), time_slice=TIME_SLICE)


@shared_task
def delete_reminders_of_erased_users() -> None:
    if deleted := erasing.delete_reminders_of_erased_users():
        log.info("reminders of erased users deleted", reminders=deleted)


@shared_task
def check_engine() -> None:
    check = record_check()
    log.info("engine checked", seconds=check.seconds, violations=sum(check.violations.values()))


@shared_task
def mark_silent_devices() -> None:
    if silent := mark_silent(now=database_now()):
        log.info("devices silent", devices=silent)


@shared_task
def clear_silent_devices() -> None:
    """Runs every minute, so that the console does not show a device as silent that is used."""
    if cleared := clear_silent(now=database_now()):
        log.info("devices no longer silent", devices=cleared)
