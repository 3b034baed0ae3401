"""`manage.py dispatch`: the reminder tasks in the foreground, without Celery and Redis."""

import time
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import InterfaceError, OperationalError, close_old_connections

from notifications import dispatcher, queue
from notifications.transports.fcm import FcmTransport


class Command(BaseCommand):
    help = "Enqueues and sends the reminders that are due; --forever keeps doing it every second."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--forever", action="store_true", help="go on until stopped")

    def handle(self, *args: Any, forever: bool, **options: Any) -> None:
        transport = dispatcher.transport()
        while forever:
            try:
                self._once(transport)
            except (OperationalError, InterfaceError) as error:
                self.stderr.write(f"The database is away ({type(error).__name__}); trying again.")
                close_old_connections()
            time.sleep(1)
        self._once(transport, always_say=True)

    def _once(self, transport: FcmTransport, *, always_say: bool = False) -> None:
        enqueued = queue.enqueue()
        tally = dispatcher.dispatch(
            transport=transport, pace=dispatcher.pace(), time_slice=timedelta(minutes=1)
        )
        if enqueued or tally.examined or always_say:
            self.stdout.write(f"{enqueued} reminders enqueued, {tally.sent} sent.")
