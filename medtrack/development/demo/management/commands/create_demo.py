from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from medtrack.database.clock import database_now
from medtrack.development.demo.actions import create_demo, demo_exists
from medtrack.development.demo.people import ADMIN_EMAIL, ADMIN_ZONE, CAREGIVER, PASSWORD, PATIENTS


class Command(BaseCommand):
    help = "Creates demo patients with medications and sixty days of doses, once, and prints their logins."

    def handle(self, *args: Any, **options: Any) -> None:
        # Progress goes to stderr, because other programs read the table on stdout.
        if demo_exists():
            self._report("The demo data exists already.")
        else:
            create_demo(now=database_now(), report=self._report)
            call_command("refresh_summaries", stdout=self.stderr, stderr=self.stderr)
        self.stdout.write(login_table())

    def _report(self, line: str) -> None:
        self.stderr.write(line, style_func=str)


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
