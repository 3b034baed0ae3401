"""People: signing up, and signing in with a password."""

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
    """Another account has this e-mail, whatever its case."""

    default_detail = _("An account with this e-mail exists already.")


class InvalidCredentials(AuthenticationFailed):
    """No account has this e-mail and this password; which of the two is wrong is not said."""

    default_detail = _("The e-mail or the password is wrong.")
    default_code = "invalid_credentials"


def sign_up(
    *, email: str, password: str, now: datetime, device_name: str = "", **profile: str
) -> Credentials:
    """A new person with a first session. Raises EmailTaken and PasswordsBusy."""
    user = User(email=User.objects.normalize_email(email), **profile)
    # Before the transaction: it may have to wait.
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
    """Takes the address from an account that has not confirmed it within seven days, in the caller's transaction.

    The account keeps everything else, its sessions included. Of two who want the address the unique index knows one.
    """
    lapsed = User.objects.with_email(email).with_lapsed_email(now=now)
    if lapsed.update(email=None, updated_at=now):
        log.info("unconfirmed e-mail released")


def log_in(
    *, email: str, password: str, now: datetime, device_name: str = "", end_session: UUID | None = None
) -> Credentials:
    """A new session. Raises PasswordsBusy; and InvalidCredentials, after the same work if there is no such account.

    Whoever knows the password is also told which sessions there are, if they are too many (LimitReached), and ends
    one of them by `end_session`, or learns that it is not theirs (NotFound).
    """
    user = User.objects.active().with_email(email).first()
    if user is None:
        make_password(password)
        raise InvalidCredentials
    if not user.check_password(password):
        raise InvalidCredentials
    with transaction.atomic():
        # A change of the password ends the sessions of the old one; this must not become one more after that.
        still = User.objects.active().filter(id=user.id, password=user.password)
        if still.select_for_update(no_key=True).first() is None:
            raise InvalidCredentials
        return open_session(user=user, device_name=device_name, now=now, end_session=end_session)


def lock_user(user_id: UUID) -> User:
    """Returns the user's row, locked until the end of the transaction: writes about one user wait for each other.

    Raises Http404 for a user that does not exist or was deleted.
    """
    living = User.objects.select_for_update(no_key=True).filter(deleted_at=None)
    user: User = get_object_or_404(living, id=user_id)
    return user
