"""Beat and the workers say that they live, every few seconds and in PostgreSQL, where the console reads it.

A worker's sign is its main process's, which speaks to the broker; beat's is a tick that the broker took.
"""

import time
from collections.abc import Iterable
from typing import Any

import structlog
from celery import current_app
from celery.signals import after_task_publish, beat_init, heartbeat_sent
from django.db import DatabaseError, InterfaceError, close_old_connections

from notifications.engine_state import record_heartbeat
from notifications.models import Heartbeat

SECONDS = 10.0
# Who takes from which queue, whatever the workers are called.
WORKERS = {"celery": Heartbeat.Process.WORKER, "mail": Heartbeat.Process.MAILER}

log = structlog.get_logger(__name__)


class Pulse:
    """Records heartbeats at most every `SECONDS`. A database error stops neither beat nor a worker."""

    def __init__(self) -> None:
        self._next = 0.0

    def beat(self, processes: Iterable[str]) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + SECONDS
        close_old_connections()
        try:
            for process in processes:
                record_heartbeat(process)
        except (DatabaseError, InterfaceError) as error:
            log.warning("no sign of life was recorded", error=type(error).__name__)


_pulse = Pulse()


@heartbeat_sent.connect
def a_worker_lives(**_: Any) -> None:
    queues = current_app.amqp.queues.consume_from
    _pulse.beat(process for queue, process in WORKERS.items() if queue in queues)


@beat_init.connect
def beat_begins(**_: Any) -> None:
    """Connected only in beat, because other processes publish tasks too."""
    after_task_publish.connect(a_tick_was_taken)


def a_tick_was_taken(**_: Any) -> None:
    _pulse.beat([Heartbeat.Process.BEAT])
