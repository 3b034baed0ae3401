"""Erasing a user: each app erases its own tables, all in one transaction."""

from datetime import datetime
from time import monotonic, sleep

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext_lazy as _
from psycopg.errors import LockNotAvailable

from dosing.actions.erasing import erase_doses
from medications.actions.erasing import erase_medications
from medtrack.http.problems import Conflict
from notifications.actions.erasing import erase_reminders
from users.actions.erasing import erase_account, lock_user_for_erasure
from users.models import User

# Seconds. An attempt does not wait for locks of rows, but for those of tables, up to lock_timeout.
PATIENCE = 5
PAUSE = 0.05

# The table belongs to the console, which this module may not import.
_FORGET_INVITATION = """
    UPDATE staff_invitations SET withdrawn_at = %(now)s, email = NULL
    WHERE lower(email) = lower(%(email)s) AND accepted_at IS NULL AND withdrawn_at IS NULL
"""


class ErasureBlocked(Conflict):
    """Other requests kept changing the user's data, and nothing was erased."""

    default_detail = _("Your data is being changed at the moment. Try again in a few seconds.")


def erase_person(*, user: User, now: datetime) -> None:
    """Deletes everything about the user but an empty row, to which the history of other users refers.

    Raises ErasureBlocked. Raises Http404 if the user is erased already.
    """
    give_up_at = monotonic() + PATIENCE
    # A transaction that holds one of the rows may be waiting for another one that is locked here. Waiting for
    # it could be a deadlock, so each attempt locks with NOWAIT, releases all its locks if one is held, and is
    # repeated.
    while monotonic() < give_up_at:
        try:
            return _erase(user, now)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
        sleep(PAUSE)
    raise ErasureBlocked


@transaction.atomic
def _erase(user: User, now: datetime) -> None:
    user = lock_user_for_erasure(user.id)
    erase_reminders(user=user, now=now)
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_INVITATION, {"email": user.email, "now": now})
    erase_doses(user=user)
    erase_medications(user=user)
    erase_account(user=user, now=now)
