"""Signing up, in and out. A session's refresh token is replaced by one conditional UPDATE, so one use wins."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed

from medtrack.common.problems import Conflict
from users.models import Session, User
from users.tokens import InvalidToken, RefreshToken, access_token


class EmailTaken(Conflict):
    """Another account has this e-mail, whatever its case."""

    default_detail = _("An account with this e-mail exists already.")


class InvalidCredentials(AuthenticationFailed):
    """No account has this e-mail and this password; which of the two is wrong is not said."""

    default_detail = _("The e-mail or the password is wrong.")
    default_code = "invalid_credentials"


class InvalidRefreshToken(AuthenticationFailed):
    """The refresh token is not ours, too old or was used before, or its session has ended."""

    default_detail = _("The refresh token is not valid any more. Sign in again.")
    default_code = "invalid_refresh_token"


@dataclass(frozen=True)
class Credentials:
    """What a client holds after signing in; `expires_in` in seconds."""

    user: User
    access: str
    refresh: str
    expires_in: int


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
    return _open_session(user=user, device_name=device_name, now=now)


def log_in(*, email: str, password: str, now: datetime, device_name: str = "") -> Credentials:
    """A new session. Raises InvalidCredentials, after the same work whether the account exists or not."""
    user = User.objects.active().with_email(email).first()
    if not check_password(password, user.password if user else _unusable_twin()) or user is None:
        raise InvalidCredentials
    return _open_session(user=user, device_name=device_name, now=now)


@lru_cache(maxsize=1)
def _unusable_twin() -> str:
    """A hash nobody knows the password of: checking it costs what a real one costs."""
    return make_password(RefreshToken.new(uuid4()).secret.hex())


def refresh_session(*, refresh: str, now: datetime) -> Credentials:
    """The next pair of tokens. Raises InvalidRefreshToken; a token used before ends its whole session."""
    try:
        presented = RefreshToken.parse(refresh)
    except InvalidToken as error:
        raise InvalidRefreshToken from error
    successor = RefreshToken.new(presented.family)
    # No join here: PostgreSQL re-checks only this row's own columns when a concurrent use was faster.
    alive = Session.objects.filter(family=presented.family, revoked_at=None, expires_at__gt=now)
    won = alive.filter(refresh_token_hash=presented.digest).update(
        refresh_token_hash=successor.digest,
        last_used_at=now,
        expires_at=now + settings.REFRESH_TOKEN_LIFETIME,
    )
    if not won:
        alive.update(revoked_at=now)
        raise InvalidRefreshToken
    session = Session.objects.select_related("user").get(family=presented.family)
    if not session.user.is_active or session.user.deleted_at:
        raise InvalidRefreshToken
    return _credentials(session, successor, now)


def log_out(*, session: Session, now: datetime) -> None:
    """Ends the session; reminders to its device stop because delivery looks at the session again."""
    Session.objects.filter(id=session.id, revoked_at=None).update(revoked_at=now)


def take_turn(user_id: UUID) -> User:
    """The person as they are now and will be until the end of the transaction: whoever else asks waits."""
    user: User = User.objects.select_for_update(no_key=True).get(id=user_id)
    return user


def _open_session(*, user: User, device_name: str, now: datetime) -> Credentials:
    token = RefreshToken.new(uuid4())
    session = Session.objects.create(
        user=user,
        family=token.family,
        refresh_token_hash=token.digest,
        device_name=device_name,
        created_at=now,
        last_used_at=now,
        expires_at=now + settings.REFRESH_TOKEN_LIFETIME,
    )
    return _credentials(session, token, now)


def _credentials(session: Session, token: RefreshToken, now: datetime) -> Credentials:
    return Credentials(
        user=session.user,
        access=access_token(user_id=session.user_id, session_id=session.id, now=now),
        refresh=str(token),
        expires_in=int(settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
    )
