"""Erasing an account: who may request it, and what this app removes.

`medtrack.api.erasure` puts the parts together.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import PermissionDenied

from medtrack.http.problems import field_error
from users.actions.identities import forget_identities
from users.models import IdempotencyKey, RateCounter, Session, User

FRESH = timedelta(minutes=10)


class FreshLogInRequired(PermissionDenied):
    """The password is missing, or the user has none and signed in more than ten minutes ago."""

    default_detail = _("Enter your password, or sign in again if you have none.")
    default_code = "fresh_log_in_required"


def require_presence(*, user: User, session: Session, password: str | None, now: datetime) -> None:
    """Checks that the user is present: by the password, or by a new session if the user has no password.

    Raises FreshLogInRequired, PasswordsBusy and ValidationError.
    """
    if user.has_usable_password() and password is not None:
        if not user.check_password(password):
            raise field_error("password", _("The password is wrong."), code="wrong")
    elif user.has_usable_password() or session.created_at < now - FRESH:
        raise FreshLogInRequired


def lock_user_for_erasure(user_id: UUID) -> User:
    """Returns the user's row, locked FOR UPDATE.

    Unlike `lock_user` this also blocks inserts that refer to it.

    Raises Http404 for a user that does not exist or was deleted. Raises OperationalError rather than wait.
    """
    living = User.objects.select_for_update(nowait=True).filter(deleted_at=None)
    user: User = get_object_or_404(living, id=user_id)
    return user


@transaction.atomic
def erase_account(*, user: User, now: datetime) -> None:
    """Removes sign-ins, sessions, permissions and the profile, and leaves an empty, deleted row; the e-mail
    is free.

    Raises OperationalError rather than wait for a row.
    """
    forget_identities(user=user, now=now)
    kept = (IdempotencyKey.objects.filter(user=user), RateCounter.objects.filter(user=user))
    for rows in (user.sessions, *kept):
        list(rows.select_for_update(nowait=True).values_list("id"))
        rows.all().delete()
    user.trips.all().delete()
    user.authenticator_set.all().delete()  # type: ignore[attr-defined]  # of allauth, which ships no types
    user.groups.clear()
    user.user_permissions.clear()
    # Rows of other users refer to this one, so it stays, with the default of every other column.
    empty = User(id=user.id, created_at=user.created_at, deleted_at=now, is_active=False)
    empty.set_unusable_password()
    empty.save(force_update=True)
