from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError

from medtrack.database.owner import as_owner
from medtrack.database.role_names import ROLES
from medtrack.database.roles import make_roles


class Command(BaseCommand):
    help = (
        "Creates the roles medtrack_web, medtrack_engine and medtrack_report, and sets their privileges and time-outs. "
        "Run it as the owner of the tables after every migrate; it can be run again at any time."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with as_owner():
            try:
                generated = make_roles(settings.DATABASE_ROLE_PASSWORDS)
            except ProgrammingError as error:
                raise CommandError(
                    f"PostgreSQL refused: {str(error).splitlines()[0]}. Run this as the owner of the tables, which needs "
                    "CREATEROLE."
                ) from error
        for role, password in generated.items():
            self.stdout.write(f"{role} was created with the password {password}")
        self.stdout.write(f"The privileges of {', '.join(ROLES)} are set.")
