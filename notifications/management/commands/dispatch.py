"""`manage.py dispatch`: the reminder tasks in the foreground, without Celery and Redis."""

import time
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from notifications import dispatcher, queue


class Command(BaseCommand):
    help = "Enqueues and sends the reminders that are due; --forever keeps doing it every second."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--forever", action="store_true", help="go on until stopped")

    def handle(self, *args: Any, forever: bool, **options: Any) -> None:
        transport = dispatcher.transport()
        while True:
            enqueued = queue.enqueue()
            tally = dispatcher.dispatch(transport=transport, time_slice=timedelta(minutes=1))
            if enqueued or tally.examined or not forever:
                self.stdout.write(f"{enqueued} reminders enqueued, {tally.sent} sent.")
            if not forever:
                return
            time.sleep(1)
