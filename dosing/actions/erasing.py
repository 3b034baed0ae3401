"""Erasing a person's doses, the only deletion of dose events that there is."""

from django.db import connection, transaction

from users.models import User

# The setting opens the trigger on dose_events for this person's and for this transaction alone.
_ERASE = """
    SELECT count(*) FROM (
        SELECT FROM schedules WHERE medication_id IN (SELECT id FROM medications WHERE user_id = %(user)s)
        FOR UPDATE NOWAIT
    ) schedules;
    SELECT count(*) FROM (SELECT FROM dose_logs WHERE user_id = %(user)s FOR UPDATE NOWAIT) doses;
    SELECT set_config('medtrack.erasing', %(user)s || ' ' || pg_current_xact_id(), true);
    DELETE FROM dose_events WHERE dose_id IN (SELECT id FROM dose_logs WHERE user_id = %(user)s);
    DELETE FROM dose_logs WHERE user_id = %(user)s;
    DELETE FROM schedules WHERE medication_id IN (SELECT id FROM medications WHERE user_id = %(user)s);
    SELECT set_config('medtrack.erasing', '', true)
"""


@transaction.atomic
def erase_doses(*, user: User) -> None:
    """The person's schedules, doses and events are gone. Raises OperationalError when somebody holds one of them."""
    with connection.cursor() as cursor:
        cursor.execute(_ERASE, {"user": str(user.id)})
