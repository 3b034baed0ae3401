from typing import Any

from django.core.management.base import BaseCommand, CommandError

from medtrack.console.sign_in.stored_secrets import Outcome, rotate_secrets

STEP = 100


class Command(BaseCommand):
    help = (
        "Encrypts every secret in the database under the first of ENCRYPTION_KEYS (without any, SECRET_KEY). "
        "May run while people sign in, and as often as you like."
    )

    def handle(self, **_options: Any) -> None:
        counts = dict.fromkeys(Outcome, 0)
        unreadable: list[str] = []
        for number, (secret, outcome) in enumerate(rotate_secrets(), 1):
            counts[outcome] += 1
            if outcome is Outcome.UNREADABLE:
                unreadable.append(secret.user.email or str(secret.user_id))
            if number % STEP == 0:
                self.stdout.write(f"{number} seen")
        self.stdout.write(
            f"{counts[Outcome.ROTATED]} encrypted under the first key, {counts[Outcome.CURRENT]} were already, "
            f"{counts[Outcome.UNREADABLE]} cannot be read."
        )
        if unreadable:
            raise CommandError(
                f"No key opens the second factor of {', '.join(unreadable)}. Set the key that is missing and try "
                "again, or run manage.py reset_second_factor EMAIL."
            )
