from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError

from medtrack.console.roles import ROLE_NAMES
from medtrack.console.staff.actions import (
    NoActiveAccount,
    SuperuserStays,
    UnknownRole,
    UnverifiedEmail,
    appoint_staff,
)
from users.access_log import Actor


class Command(BaseCommand):
    help = "Gives an account whose e-mail is confirmed exactly these roles. Without an account, use invite_staff."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument(
            "--role",
            action="append",
            required=True,
            dest="roles",
            help=f"{', '.join(ROLE_NAMES)}; repeatable",
        )

    def handle(self, *, email: str, roles: list[str], **_options: Any) -> None:
        try:
            user = appoint_staff(email=email, roles=roles, by=Actor.of_command("appoint_staff"))
        except NoActiveAccount as error:
            raise CommandError(
                f"No active account has the e-mail {email}. Invite them: manage.py invite_staff."
            ) from error
        except UnverifiedEmail as error:
            raise CommandError(
                f"The account has not confirmed the e-mail {email}: it may belong to someone else. "
                "Let them open the link that was mailed to them, or ask for another in the app."
            ) from error
        except UnknownRole as error:
            known = (
                ", ".join(Group.objects.order_by("name").values_list("name", flat=True))
                or "none; run migrate"
            )
            raise CommandError(
                f"{', '.join(roles)}: one of these is no role. The roles are: {known}."
            ) from error
        except SuperuserStays as error:
            raise CommandError(f"{email} is a superuser, who has every right already.") from error
        self.stdout.write(f"{user.email} is staff now: {', '.join(sorted(set(roles)))}.")
