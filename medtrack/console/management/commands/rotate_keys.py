from typing import Any

from django.core.management.base import BaseCommand, CommandError

from medtrack.console.sign_in.stored_secrets import RotationResult, rotate_secrets

STEP = 100


class Command(BaseCommand):
    help = (
        "Encrypts every secret in the database with the first of ENCRYPTION_KEYS (without any, SECRET_KEY). "
        "May run while users sign in, and any number of times."
    )

    def handle(self, **_options: Any) -> None:
        counts = dict.fromkeys(RotationResult, 0)
        unreadable: list[str] = []
        for number, (secret, result) in enumerate(rotate_secrets(), 1):
            counts[result] += 1
            if result is RotationResult.UNREADABLE:
                unreadable.append(secret.user.email or str(secret.user_id))
            if number % STEP == 0:
                self.stdout.write(f"{number} seen")
        self.stdout.write(
            f"{counts[RotationResult.ROTATED]} encrypted under the first key, {counts[RotationResult.CURRENT]} were already, "
            f"{counts[RotationResult.UNREADABLE]} cannot be read."
        )
        if unreadable:
            raise CommandError(
                f"No key opens the second factor of {', '.join(unreadable)}. Set the key that is missing and try "
                "again, or run manage.py reset_second_factor EMAIL."
            )
