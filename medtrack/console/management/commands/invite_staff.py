from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from medtrack.console.roles import ROLE_NAMES
from medtrack.console.staff.actions import StaffChangeRefused
from medtrack.console.staff.invitation_links import link_of
from medtrack.console.staff.invitations import invite, mail_invitation
from medtrack.database.clock import database_now
from users.access_log import Actor


class Command(BaseCommand):
    help = (
        "Invites someone to the staff: mails a link that works once, or prints it where no mail can be sent. "
        "The first administrator is invited with --superuser."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        choice = parser.add_mutually_exclusive_group(required=True)
        choice.add_argument(
            "--role",
            action="append",
            default=[],
            dest="roles",
            help=f"{', '.join(ROLE_NAMES)}; repeatable",
        )
        choice.add_argument(
            "--superuser", action="store_true", help="has every right, and invites the others"
        )
        languages = [code for code, _name in settings.LANGUAGES]
        parser.add_argument(
            "--language", choices=languages, default=settings.LANGUAGE_CODE, help="of the mail"
        )

    def handle(
        self, *, email: str, roles: list[str], superuser: bool, language: str, **_options: Any
    ) -> None:
        try:
            invitation = invite(
                email=email.strip(),
                roles=roles,
                is_superuser=superuser,
                language=language,
                by=Actor.of_command("invite_staff"),
                now=database_now(),
            )
        except ValidationError as error:
            raise CommandError(f"{email}: {' '.join(error.messages)}") from error
        except StaffChangeRefused as error:
            raise CommandError(f"{email}: {error}") from error
        until = f"{invitation.expires_at:%Y-%m-%d %H:%M} UTC"
        if mail_invitation(invitation):
            self.stdout.write(
                f"An invitation is on its way to {invitation.email}. Its link works until {until}."
            )
            return
        self.stdout.write(
            f"No mail was sent. Give this link to {invitation.email}: it works once, until {until}.\n\n"
            f"{link_of(invitation)}\n"
        )
