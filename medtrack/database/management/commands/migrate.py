from typing import Any

from django.core.management.commands import migrate

from medtrack.database.owner import as_owner


class Command(migrate.Command):
    """Django's command, run as the owner of the tables."""

    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner():
            super().handle(*args, **options)
