from datetime import datetime

from django.core.management.base import CommandError

from medtrack.development.demo.actions import NoDemoPatient, make_dose_fall_due
from medtrack.development.demo.management.base import DemoCommand


class Command(DemoCommand):
    help = "Makes a dose of the demo's patient in Seoul fall due within the next 80 seconds."

    def run(self, *, now: datetime) -> None:
        try:
            soon = make_dose_fall_due(now=now)
        except NoDemoPatient as error:
            raise CommandError("The demo's patient in Seoul is not there: run create_demo first.") from error
        zone = soon.patient.zone
        city = zone.key.rpartition("/")[2].replace("_", " ")
        self.stdout.write(
            f"{soon.patient}'s next dose falls due at {soon.due_at:%H:%M:%S} UTC"
            f" ({soon.due_at.astimezone(zone):%H:%M} in {city})"
        )
