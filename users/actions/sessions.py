"""Sessions: opened by signing in, continued by refresh tokens, ended by their user.

One conditional UPDATE replaces a refresh token, so of several uses at the same time one succeeds.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed, NotFound

from medtrack.http.person_limits import REACHED_WITHIN, LimitReached
from users.known_devices import device_secret
from users.models import Session, User
from users.querysets import SessionQuerySet
from users.tokens import InvalidToken, RefreshToken, access_token, read_access_token

# How long a client may repeat a refresh whose response the network lost.
REPEAT_WITHIN = timedelta(seconds=30)


class InvalidRefreshToken(AuthenticationFailed):
    """The refresh token is unknown, has expired or was used before, or its session has ended."""

    default_detail = _("The refresh token is no longer valid. Sign in again.")
    default_code = "invalid_refresh_token"


@dataclass(frozen=True)
class Credentials:
    """What a client gets when it signs in; `expires_in` in seconds."""

    user: User
    access: str
    refresh: str
    expires_in: int
    device_secret: str


def open_session(
    *, user: User, device_name: str, now: datetime, end_session: UUID | None = None
) -> Credentials:
    """Creates a session in a transaction that has locked the user's row.

    `end_session` is a session that ends in its place: that is possible also for a user who has more sessions than the
    limit. Raises NotFound when it is not a session of the user, and LimitReached.
    """
    if not end_session:
        make_room(user=user, now=now)
    elif not _end([end_session], user, now):
        raise NotFound
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


def make_room(*, user: User, now: datetime) -> None:
    """Ends sessions so that the user may have one more, in a transaction that has locked the user's row.

    Raises LimitReached, which lists the sessions, if too few of them may be ended.
    """
    living = list(Session.objects.visible_to(user, now=now).order_by("last_used_at", "id"))
    excess = len(living) + 1 - settings.LIMITS.sessions
    if excess <= 0:
        return
    # First those without a device that gets pushes, then those whose device was not reached lately; of each the one
    # that has not been used for the longest time. `users` knows no devices, so a setting names who does.
    reached_at: Mapping[UUID, datetime] = import_string(settings.LAST_REACHED)(user, now=now)
    removable = [session.id for session in living if session.id not in reached_at]
    removable += [
        session.id
        for session in living
        if session.id in reached_at and reached_at[session.id] < now - REACHED_WITHIN
    ]
    if len(removable) < excess:
        # Enough for the user to recognise a session, and no more than they would see when signed in.
        fields = ("id", "device_name", "last_used_at")
        raise LimitReached(
            "sessions",
            sessions=[{name: getattr(session, name) for name in fields} for session in living],
        )
    _end(removable[:excess], user, now)


def _end(ids: Collection[UUID], user: User, now: datetime) -> int:
    return Session.objects.visible_to(user, now=now).filter(id__in=ids).update(revoked_at=now)


def refresh_session(*, refresh: str, now: datetime, access: str = "") -> Credentials:
    """Returns the next pair of tokens. Raises InvalidRefreshToken.

    A token that was used before ends the whole session: it may have been stolen. But a client that also sends an
    access token of the session, expired or not, gets the same answer again for 30 s: the first one may be lost.
    """
    try:
        presented = RefreshToken.parse(refresh)
    except InvalidToken as error:
        raise InvalidRefreshToken from error
    successors = presented.successors()
    # No join with users: when PostgreSQL waited for a concurrent UPDATE, it checks this row's columns alone again.
    alive: SessionQuerySet = Session.objects.living(now=now).filter(family=presented.family)
    updated = alive.filter(refresh_token_hash=presented.digest).update(
        refresh_token_hash=successors[0].digest,
        previous_token_hash=presented.digest,
        last_used_at=now,
        expires_at=now + settings.REFRESH_TOKEN_LIFETIME,
    )
    token = successors[0] if updated else _repeated_answer(alive, presented, access, now)
    if token is None:
        alive.update(revoked_at=now)
        raise InvalidRefreshToken
    session = Session.objects.select_related("user").filter(family=presented.family).first()
    # The user may have been erased since the UPDATE, and the session with them.
    if session is None or not session.user.is_active or session.user.deleted_at:
        raise InvalidRefreshToken
    return _credentials(session, token, now)


def log_out(*, session_id: UUID, now: datetime) -> bool:
    """Ends the session, and returns False if it had ended already.

    Pushes to its device stop, because each delivery checks the session.
    """
    return bool(Session.objects.filter(id=session_id, revoked_at=None).update(revoked_at=now))


def end_sessions(*, user_id: UUID, now: datetime, keep: UUID | None = None) -> int:
    """Ends all sessions of the user except `keep`; returns how many."""
    ended = Session.objects.filter(user_id=user_id, revoked_at=None)
    if keep:
        ended = ended.exclude(id=keep)
    return ended.update(revoked_at=now)


def _repeated_answer(
    alive: SessionQuerySet, presented: RefreshToken, access: str, now: datetime
) -> RefreshToken | None:
    """Returns the token of the answer before, if the client may get it again."""
    try:
        claims = read_access_token(access, even_expired=True)
    except InvalidToken:
        return None
    repeated = alive.filter(
        id=claims.session_id,
        user_id=claims.user_id,
        previous_token_hash=presented.digest,
        last_used_at__gte=now - REPEAT_WITHIN,
    )
    current = repeated.values_list("refresh_token_hash", flat=True).first()
    # Once that token was used, too, it is not the current one any more. It may have been made with a fallback key.
    answered = (token for token in presented.successors() if current and token.digest == bytes(current))
    return next(answered, None)


def _credentials(session: Session, token: RefreshToken, now: datetime) -> Credentials:
    return Credentials(
        user=session.user,
        access=access_token(user_id=session.user_id, session_id=session.id, now=now),
        refresh=str(token),
        expires_in=int(settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
        device_secret=device_secret(user_id=session.user_id, device_id=session.id),
    )
