"""`manage.py refresh_summaries`: runs the task in the foreground and prints its result."""

from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from medtrack.console.patients.summaries import refresh
from medtrack.database.clock import database_now


class Command(BaseCommand):
    help = "Refreshes what the console's list of patients shows and sorts by."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--from-scratch",
            action="store_true",
            help="also read every answer ever given once more, not only those since the last time",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started = monotonic()
        self.stderr.write("Summing up every patient, in one statement …", style_func=str)
        refreshed = refresh(now=database_now(), from_scratch=options["from_scratch"])
        if refreshed is None:
            raise CommandError("Another process is refreshing the summaries.")
        self.stdout.write(
            f"{refreshed.patients} patients: {refreshed.written} summaries written,"
            f" {refreshed.removed} removed, {monotonic() - started:.1f} s."
        )
