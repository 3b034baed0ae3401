"""Sessions: opened by signing in, carried on by refresh tokens, ended by their person.

A refresh token is replaced by one conditional UPDATE, so one use wins.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
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

# How long a client may ask again for an answer that the network lost.
REPEAT_WITHIN = timedelta(seconds=30)


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
    device_secret: str


def open_session(
    *, user: User, device_name: str, now: datetime, end_session: UUID | None = None
) -> Credentials:
    """A new session, in a transaction that holds the person's row; `end_session` is one that ends instead.

    One for one is always possible, also for an account that has more sessions than the limit by now.

    Raises NotFound when that one is not the person's, and LimitReached.
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
    """Ends what is one session too many for another one: the longest unused, first of those without a device that
    pushes go to, then of those whose device was not reached lately. Raises LimitReached with the list of sessions.

    In the transaction that opens the other one, which holds the person's row.
    """
    living = list(Session.objects.visible_to(user, now=now).order_by("last_used_at", "id"))
    excess = len(living) + 1 - settings.LIMITS.sessions
    if excess <= 0:
        return
    reached_at: Mapping[UUID, datetime] = import_string(settings.LAST_REACHED)(user, now=now)
    lately = now - REACHED_WITHIN
    spare = [session.id for session in living if session.id not in reached_at]
    spare += [
        session.id for session in living if session.id in reached_at and reached_at[session.id] < lately
    ]
    if len(spare) < excess:
        raise LimitReached("sessions", sessions=[_in_short(session) for session in living])
    _end(spare[:excess], user, now)


def _end(ids: Collection[UUID], user: User, now: datetime) -> int:
    return Session.objects.visible_to(user, now=now).filter(id__in=ids).update(revoked_at=now)


def _in_short(session: Session) -> dict[str, Any]:
    """Enough for its person to recognise it, and no more than they would see once they are signed in."""
    return {"id": session.id, "device_name": session.device_name, "last_used_at": session.last_used_at}


def refresh_session(*, refresh: str, now: datetime, access: str = "") -> Credentials:
    """The next pair of tokens. Raises InvalidRefreshToken; a token used before ends its whole session.

    Except for whoever also holds an access token of the session, however old: for 30 s they are answered again,
    because the first answer may have been lost. `now` is the database's.
    """
    try:
        presented = RefreshToken.parse(refresh)
    except InvalidToken as error:
        raise InvalidRefreshToken from error
    successors = presented.successors()
    # No join here: PostgreSQL re-checks only this row's own columns when a concurrent use was faster.
    alive: SessionQuerySet = Session.objects.living(now=now).filter(family=presented.family)
    won = alive.filter(refresh_token_hash=presented.digest).update(
        refresh_token_hash=successors[0].digest,
        previous_token_hash=presented.digest,
        last_used_at=now,
        expires_at=now + settings.REFRESH_TOKEN_LIFETIME,
    )
    token = successors[0] if won else _answer_before(alive, presented, access, now)
    if token is None:
        alive.update(revoked_at=now)
        raise InvalidRefreshToken
    session = Session.objects.select_related("user").filter(family=presented.family).first()
    # It may just have been erased with its person.
    if session is None or not session.user.is_active or session.user.deleted_at:
        raise InvalidRefreshToken
    return _credentials(session, token, now)


def log_out(*, session: Session, now: datetime) -> bool:
    """Ends the session; reminders to its device stop because delivery looks at the session again.

    Returns False when it had ended already.
    """
    return bool(Session.objects.filter(id=session.id, revoked_at=None).update(revoked_at=now))


def end_sessions(*, user_id: UUID, now: datetime, keep: UUID | None = None) -> int:
    """All of this person's sessions, or all but one; returns how many there were."""
    ended = Session.objects.filter(user_id=user_id, revoked_at=None)
    if keep:
        ended = ended.exclude(id=keep)
    return ended.update(revoked_at=now)


def _answer_before(
    alive: SessionQuerySet, presented: RefreshToken, access: str, now: datetime
) -> RefreshToken | None:
    """The token that was answered with a moment ago, if the session itself presents the one before it.

    Once that token is used, it is the one before. It may have been made with a key that is a fallback by now.
    """
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
    made = (token for token in presented.successors() if current and token.digest == bytes(current))
    return next(made, None)


def _credentials(session: Session, token: RefreshToken, now: datetime) -> Credentials:
    return Credentials(
        user=session.user,
        access=access_token(user_id=session.user_id, session_id=session.id, now=now),
        refresh=str(token),
        expires_in=int(settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
        device_secret=device_secret(user_id=session.user_id, device_id=session.id),
    )
