"""Users: signing up, logging in with a password, and the lock under which all writes about one user happen."""

from datetime import datetime
from uuid import UUID

import structlog
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed

from medtrack.http.problems import Conflict
from users.actions.sessions import Credentials, open_session
from users.models import User

log = structlog.get_logger(__name__)


class EmailTaken(Conflict):
    """Another account has this e-mail, compared without case."""

    default_detail = _("An account with this e-mail exists already.")


class InvalidCredentials(AuthenticationFailed):
    """No account has this e-mail and this password. The answer does not say which of the two is wrong."""

    default_detail = _("The e-mail or the password is wrong.")
    default_code = "invalid_credentials"


def sign_up(
    *, email: str, password: str, now: datetime, device_name: str = "", **profile: str
) -> Credentials:
    """Creates a user and their first session. Raises EmailTaken and PasswordsBusy."""
    user = User(email=User.objects.normalize_email(email), **profile)
    # Hashing may wait for its slot, so it is done before the transaction begins.
    user.set_password(password)
    try:
        with transaction.atomic():
            release_unconfirmed_email(email=email, now=now)
            user.save(force_insert=True)
            return open_session(user=user, device_name=device_name, now=now)
    except IntegrityError as error:
        if "users_email_is_unique" in str(error):
            raise EmailTaken from error
        raise


def release_unconfirmed_email(*, email: str, now: datetime) -> None:
    """Removes the address from an account that did not confirm it within seven days.

    The account keeps everything else, its sessions included. Runs in the caller's transaction; if two requests want
    the address at the same time, the unique index refuses one of them.
    """
    lapsed = User.objects.with_email(email).with_lapsed_email(now=now)
    if lapsed.update(email=None, updated_at=now):
        log.info("unconfirmed e-mail released")


def log_in(
    *, email: str, password: str, now: datetime, device_name: str = "", end_session: UUID | None = None
) -> Credentials:
    """Opens a session, and ends `end_session` in its place if that is given.

    Raises InvalidCredentials and PasswordsBusy. With the right password it also raises LimitReached, which lists the
    sessions, and NotFound when `end_session` is not one of them.
    """
    user = User.objects.active().with_email(email).first()
    if user is None:
        # The same work as for an account that exists, so that the time does not tell which e-mails have accounts.
        make_password(password)
        raise InvalidCredentials
    if not user.check_password(password):
        raise InvalidCredentials
    with transaction.atomic():
        # Changing the password ends all sessions. If that happened since the check above, do not open another one.
        unchanged = User.objects.active().filter(id=user.id, password=user.password)
        if unchanged.select_for_update(no_key=True).first() is None:
            raise InvalidCredentials
        return open_session(user=user, device_name=device_name, now=now, end_session=end_session)


def lock_user(user_id: UUID) -> User:
    """Returns the user's row, locked until the end of the transaction: writes about one user wait for each other.

    Raises Http404 for a user that does not exist or was deleted.
    """
    living = User.objects.select_for_update(no_key=True).filter(deleted_at=None)
    user: User = get_object_or_404(living, id=user_id)
    return user
