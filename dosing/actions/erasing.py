"""Erasing a user's doses, the only case in which dose events are deleted."""

from pathlib import Path

from django.db import transaction

from medtrack.database.statements import Statement
from users.models import User

_ERASE_DOSES = Statement.of(Path(__file__).parents[1] / "sql" / "erase_doses.sql")


@transaction.atomic
def erase_doses(*, user: User) -> None:
    """Deletes the user's schedules, doses and events.

    Raises OperationalError if another transaction locks one.
    """
    _ERASE_DOSES.execute(user=str(user.id))
