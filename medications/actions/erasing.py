"""Erasing a user's medications, the only case in which their events are deleted."""

from django.db import transaction

from medications.models import Medication, MedicationEvent
from medtrack.database.statements import Statement
from users.models import User

# Lets the trigger on medication_events pass the deletion, for this user and in this transaction only.
_ERASING = Statement("""
    SELECT set_config('medtrack.erasing', %(user)s || ' ' || pg_current_xact_id(), true)
""")
_ERASED = Statement("SELECT set_config('medtrack.erasing', '', true)")


@transaction.atomic
def erase_medications(*, user: User) -> None:
    """Deletes the user's medications and their events; schedules and doses must be deleted before.

    Raises OperationalError rather than wait for a row.
    """
    mine = Medication.objects.filter(user=user)
    list(mine.select_for_update(nowait=True).values_list("id"))
    _ERASING.execute(user=str(user.id))
    MedicationEvent.objects.filter(medication__user=user).delete()
    _ERASED.execute()
    mine.delete()
