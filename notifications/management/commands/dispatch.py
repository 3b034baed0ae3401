"""`manage.py dispatch`: the reminder tasks in the foreground, without Celery and Redis."""

import signal
import time
from datetime import timedelta
from threading import Event
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError, close_old_connections

from notifications import dispatcher, queue
from notifications.transports.fcm import FcmTransport
from notifications.transports.results import FirebaseNotConfigured

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Enqueues and sends the reminders that are due; --forever keeps doing it every second."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--forever", action="store_true", help="go on until stopped")

    _enqueue_at = _follow_up_at = 0.0

    def handle(self, *args: Any, forever: bool, **options: Any) -> None:
        try:
            transport = dispatcher.transport()
        except FirebaseNotConfigured as error:
            raise CommandError(str(error)) from error
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            # Pushes that are being sent are still marked, so that they are not sent twice.
            signal.signal(number, lambda *_: stop.set())
        while forever and not stop.is_set():
            try:
                self._once(transport, stop)
            except (OperationalError, InterfaceError) as error:
                log.warning("no connection to the database, trying again", error=type(error).__name__)
                close_old_connections()
            stop.wait(1)
        if not forever:
            self._once(transport, stop, always_say=True)

    def _once(self, transport: FcmTransport, stop: Event, *, always_say: bool = False) -> None:
        # As often as Celery beat does it.
        now, enqueued = time.monotonic(), 0
        if now >= self._enqueue_at:
            self._enqueue_at = now + 10
            enqueued += queue.enqueue()
        if now >= self._follow_up_at:
            self._follow_up_at = now + 30
            enqueued += queue.enqueue_follow_ups()
        tally = dispatcher.dispatch(
            transport=transport, pace=dispatcher.pace(), time_slice=timedelta(minutes=1), stop=stop
        )
        if enqueued or tally.examined or always_say:
            self.stdout.write(f"{enqueued} reminders enqueued, {tally.sent} sent.")
