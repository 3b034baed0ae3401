"""`manage.py plan`: runs the planning task in the foreground and prints its progress."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dosing.models import Schedule
from dosing.planning import plan_due
from medtrack.database.clock import database_now


class Command(BaseCommand):
    help = "Plans the doses of every schedule that is due for planning."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--retry", action="store_true", help="also plan schedules that were set aside before"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = database_now()
        if options["retry"]:
            again = Schedule.objects.exclude(plan_error="").update(plan_error="")
            self.stdout.write(f"{again} schedules that were set aside will be planned again …")
        schedules = doses = set_aside = 0
        while (planned := plan_due(now=now)).schedules:
            schedules += planned.schedules
            doses += planned.doses
            set_aside += planned.set_aside
            self.stdout.write(f"{schedules} schedules, {doses} doses planned …")
        self.stdout.write(
            f"Done: {schedules} schedules, {doses} doses planned, {set_aside} schedules set aside."
        )
