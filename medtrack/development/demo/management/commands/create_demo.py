from datetime import datetime

from django.core.management import call_command

from medtrack.development.demo.actions import create_demo, demo_exists
from medtrack.development.demo.management.base import DemoCommand
from medtrack.development.demo.people import ADMIN_EMAIL, ADMIN_ZONE, CAREGIVER, PASSWORD, PATIENTS


class Command(DemoCommand):
    help = "Creates people with medicines and sixty days of doses, once, and prints how to sign in as them."

    def run(self, *, now: datetime) -> None:
        if demo_exists():
            self.tell("The demo data exists already.")
        else:
            create_demo(now=now, tell=self.tell)
            call_command("refresh_summaries", stdout=self.stderr, stderr=self.stderr)
        self.stdout.write(login_table())


def login_table() -> str:
    logins = [*(patient.login for patient in PATIENTS), CAREGIVER]
    rows = [
        ("Role", "E-mail", "Password", "Zone"),
        *((login.role, login.email, PASSWORD, login.timezone) for login in logins),
        ("admin", ADMIN_EMAIL, PASSWORD, ADMIN_ZONE),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
