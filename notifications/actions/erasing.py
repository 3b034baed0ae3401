"""Erasing a user: their reminders, deliveries and devices."""

from datetime import datetime

from django.db import connection, transaction

from users.models import User

# A push without a reminder, a withdrawal or a test, has a device and a delivery only. A device token that
# another user had before keeps its deliveries, which are that user's, and loses everything that identifies
# the device.
_ERASE = """
    SELECT count(*) FROM (
        SELECT FROM notification_logs WHERE user_id = %(user)s FOR UPDATE NOWAIT
    ) reminders;
    SELECT count(*) FROM (SELECT FROM device_tokens WHERE user_id = %(user)s FOR UPDATE NOWAIT) devices;
    SELECT count(*) FROM (
        SELECT FROM push_deliveries
        WHERE notification_id IN (SELECT id FROM notification_logs WHERE user_id = %(user)s)
        FOR UPDATE NOWAIT
    ) deliveries;
    DELETE FROM push_deliveries
    WHERE notification_id IN (SELECT id FROM notification_logs WHERE user_id = %(user)s);
    DELETE FROM notification_logs WHERE user_id = %(user)s;
    DELETE FROM device_tokens t
    WHERE t.user_id = %(user)s AND NOT EXISTS (SELECT FROM push_deliveries p WHERE p.device_id = t.id);
    UPDATE device_tokens
    SET token = 'erased-' || id, session_id = NULL, device_id = '', app_version = '', language = '',
        silent_since = NULL, revoked_at = coalesce(revoked_at, %(now)s), revoke_reason = 'erased'
    WHERE user_id = %(user)s
"""
# A transaction that enqueued reminders for all users may have read the doses before they were erased.
_SWEEP = """
    DELETE FROM notification_logs n USING users u
    WHERE u.deleted_at IS NOT NULL AND n.user_id = u.id AND n.status <> 'queued'
"""


@transaction.atomic
def erase_reminders(*, user: User, now: datetime) -> None:
    """Deletes the user's reminders, deliveries and devices.

    Raises OperationalError if another transaction holds one of the rows.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ERASE, {"user": user.id, "now": now})


def delete_reminders_of_erased_users() -> int:
    """Deletes reminders that were enqueued while their user was erased, after a claim has closed them.

    Returns how many.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SWEEP)
        return int(cursor.rowcount)
