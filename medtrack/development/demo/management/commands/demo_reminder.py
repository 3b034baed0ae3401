from typing import Any

from django.core.management.base import BaseCommand, CommandError

from medtrack.database.clock import database_now
from medtrack.development.demo.actions import NoDemoPatient, make_dose_fall_due


class Command(BaseCommand):
    help = "Makes a dose of the demo's patient in Seoul fall due within the next 80 seconds."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            soon = make_dose_fall_due(now=database_now())
        except NoDemoPatient as error:
            raise CommandError(
                "The demo's patient in Seoul does not exist: run create_demo first."
            ) from error
        zone = soon.patient.zone
        city = zone.key.rpartition("/")[2].replace("_", " ")
        self.stdout.write(
            f"{soon.patient}'s next dose falls due at {soon.due_at:%H:%M:%S} UTC"
            f" ({soon.due_at.astimezone(zone):%H:%M} in {city})"
        )
