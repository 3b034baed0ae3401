"""People: signing up, and signing in with a password."""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from django.utils.crypto import get_random_string
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed

from medtrack.common.problems import Conflict
from users.actions.sessions import Credentials, open_session
from users.models import User


class EmailTaken(Conflict):
    """Another account has this e-mail, whatever its case."""

    default_detail = _("An account with this e-mail exists already.")


class InvalidCredentials(AuthenticationFailed):
    """No account has this e-mail and this password; which of the two is wrong is not said."""

    default_detail = _("The e-mail or the password is wrong.")
    default_code = "invalid_credentials"


@transaction.atomic
def sign_up(
    *, email: str, password: str, now: datetime, device_name: str = "", **profile: str
) -> Credentials:
    """A new person with a first session. Raises EmailTaken."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, password, **profile)
    except IntegrityError as error:
        if "users_email_is_unique" in str(error):
            raise EmailTaken from error
        raise
    return open_session(user=user, device_name=device_name, now=now)


def log_in(
    *, email: str, password: str, now: datetime, device_name: str = "", end_session: UUID | None = None
) -> Credentials:
    """A new session. Raises InvalidCredentials, after the same work whether the account exists or not.

    Whoever knows the password is also told which sessions there are, if they are too many (LimitReached), and ends
    one of them by `end_session`, or learns that it is not theirs (NotFound).
    """
    user = User.objects.active().with_email(email).first()
    if not check_password(password, user.password if user else _unusable_twin()) or user is None:
        raise InvalidCredentials
    with transaction.atomic():
        # A change of the password ends the sessions of the old one; this must not become one more after that.
        still = User.objects.active().filter(id=user.id, password=user.password)
        if still.select_for_update(no_key=True).first() is None:
            raise InvalidCredentials
        return open_session(user=user, device_name=device_name, now=now, end_session=end_session)


@lru_cache(maxsize=1)
def _unusable_twin() -> str:
    """A hash nobody knows the password of: checking it costs what a real one costs."""
    return make_password(get_random_string(32))


def take_turn(user_id: UUID) -> User:
    """The person as they are now and will be until the end of the transaction: whoever else asks waits.

    Raises Http404 when the person was erased: nothing is written for them any more.
    """
    living = User.objects.select_for_update(no_key=True).filter(deleted_at=None)
    user: User = get_object_or_404(living, id=user_id)
    return user
