"""`manage.py plan`: the planning task in the foreground, with its progress."""

from typing import Any

from django.core.management.base import BaseCommand

from dosing.planning import plan_due
from medtrack.common.clock import database_now


class Command(BaseCommand):
    help = "Plans the doses of every schedule that is due for planning."

    def handle(self, *args: Any, **options: Any) -> None:
        now = database_now()
        schedules = doses = set_aside = 0
        while (planned := plan_due(now=now)).schedules:
            schedules += planned.schedules
            doses += planned.doses
            set_aside += planned.set_aside
            self.stdout.write(f"{schedules} schedules, {doses} doses planned …")
        self.stdout.write(
            f"Done: {schedules} schedules, {doses} doses planned, {set_aside} schedules set aside."
        )
