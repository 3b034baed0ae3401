"""Erasing a user's medications, a part of erasing the account."""

from django.db import transaction

from medications.models import Medication
from users.models import User


@transaction.atomic
def erase_medications(*, user: User) -> None:
    """Deletes the user's medications; schedules and doses that refer to them must be deleted before.

    Raises OperationalError rather than wait for a row.
    """
    mine = Medication.objects.filter(user=user)
    list(mine.select_for_update(nowait=True).values_list("id"))
    mine.delete()
