"""`manage.py check_settings`: each setting, whether it was given, and whether it can be used.

manage.py answers it before Django is there, because Django does not start with settings that cannot be used.
"""

from typing import Any

from django.core.management.base import BaseCommand

from medtrack.configuration.start import print_settings


class Command(BaseCommand):
    help = "Says of each setting whether it was given and can be used. The exit code is 1 when one cannot."

    def handle(self, *args: Any, **options: Any) -> None:
        if print_settings():
            raise SystemExit(1)
