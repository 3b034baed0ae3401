"""Erasing a user: their medications."""

from django.db import transaction

from medications.models import Medication
from users.models import User


@transaction.atomic
def erase_medications(*, user: User) -> None:
    """Deletes the user's medications; what refers to them must be deleted before.

    Raises OperationalError if another transaction holds one of the rows.
    """
    mine = Medication.objects.filter(user=user)
    list(mine.select_for_update(nowait=True).values_list("id"))
    mine.delete()
