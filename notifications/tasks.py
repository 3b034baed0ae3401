from datetime import timedelta

import structlog
from celery import shared_task

from notifications import dispatcher, queue

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
