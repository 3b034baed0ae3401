from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from medtrack.console.staff.actions import forget_factors
from users.access_log import record_command
from users.models import User


class Command(BaseCommand):
    help = (
        "Break-glass: forgets the second factor of an account and ends its sessions of the console. "
        "The next sign-in sets up another."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *, email: str, **_options: Any) -> None:
        user = User.objects.active().with_email(email.strip()).first()
        if user is None:
            raise CommandError(f"No active account has the e-mail {email}. Nothing was changed.")
        with transaction.atomic():
            forgotten = forget_factors(user=user)
            record_command(
                "reset_second_factor",
                object_id=user.pk,
                forgotten_factors=forgotten.factors,
                ended_sessions=forgotten.sessions,
            )
        self.stdout.write(
            f"{user.email}: {forgotten.factors} second factors (recovery codes included) were forgotten, "
            f"{forgotten.sessions} sessions of the console ended. The access log has a record of it.\n"
            "At the next sign-in the password alone leads to a page that sets up another factor. "
            "Make sure that whoever asked for this is the one who signs in."
        )
