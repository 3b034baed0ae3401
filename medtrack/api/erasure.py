"""Erasing a person: this app sees everything there is about one, and asks each app below for its own part."""

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

# Seconds. An attempt waits for no row, but may wait for a table as long as lock_timeout lets it.
PATIENCE = 5
PAUSE = 0.05

# The console's table, which nothing here may import: who was invited to the staff is forgotten with the account.
_FORGET_INVITATION = """
    UPDATE staff_invitations SET withdrawn_at = %(now)s, email = NULL
    WHERE lower(email) = lower(%(email)s) AND accepted_at IS NULL AND withdrawn_at IS NULL
"""


class ErasureBlocked(Conflict):
    """Something about the person is being written all the time; nothing was erased."""

    default_detail = _("Something of yours is being written just now. Try again in a few seconds.")


def erase_person(*, user: User, now: datetime) -> None:
    """Everything about the person's health and devices is gone; an empty row stays, to which others' history points.

    All of it or nothing. Whoever has one of the rows may be waiting for another: so we wait for nobody, but let go
    and try again. Raises ErasureBlocked, and Http404 when it was done already.
    """
    give_up_at = monotonic() + PATIENCE
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
