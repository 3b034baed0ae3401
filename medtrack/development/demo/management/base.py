"""What both demo commands share: they write known passwords or invented doses, so only in development."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from medtrack.database.clock import database_now


class DemoCommand(BaseCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo is for development only: set DEBUG=true to have it.")
        self.run(now=database_now())

    def run(self, *, now: datetime) -> None:
        raise NotImplementedError

    def tell(self, text: str) -> None:
        """Progress, beside the output that other programs read."""
        self.stderr.write(text, style_func=str)
