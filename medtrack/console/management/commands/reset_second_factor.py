from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from medtrack.console.staff.actions import reset_second_factor
from medtrack.database.clock import database_now
from users.access_log import Actor
from users.models import User


class Command(BaseCommand):
    help = (
        "Break-glass: deletes the second factor of an account and ends its sessions of the console. "
        "The next sign-in sets up another."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *, email: str, **_options: Any) -> None:
        user = User.objects.active().with_email(email.strip()).first()
        if user is None:
            raise CommandError(f"No active account has the e-mail {email}. Nothing was changed.")
        by = Actor.of_command("reset_second_factor")
        reset = reset_second_factor(user_id=user.pk, by=by, now=database_now())
        self.stdout.write(
            f"{user.email}: {reset.factors} second factors (recovery codes included) were deleted, "
            f"{reset.sessions} sessions of the console ended. The access log has a record of it.\n"
            "At the next sign-in the password alone leads to a page that sets up another factor. "
            "Make sure that the person who asked for this is the one who signs in."
        )
