"""Bearer authentication for the API: a signed access token whose session has not been ended."""

from datetime import datetime
from typing import Any, cast

import structlog
from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from users.actions.identities import outside_session
from users.models import Session, User
from users.tokens import InvalidToken, read_access_token

AUTHENTICATE_HEADER = 'Bearer realm="medtrack"'


def caller(request: Request) -> User:
    """The signed-in person; the default permission has made sure that there is one."""
    return cast(User, request.user)


def caller_session(request: Request) -> Session:
    """The session that the caller's access token belongs to."""
    return cast(Session, request.auth)


def _names_a_language(request: Request) -> bool:
    """Whether the client asks for a language that we speak; otherwise the profile's is used."""
    wanted = request.headers.get("Accept-Language", "").lower()
    return any(code in wanted for code, _name in settings.LANGUAGES)


def _session(token: str, now: datetime) -> Session:
    try:
        claims = read_access_token(token)
    except InvalidToken:
        return _outside_session(token, now)
    session = (
        Session.objects.alive(now=now)
        .select_related("user")
        .filter(id=claims.session_id, user_id=claims.user_id)
        .first()
    )
    if session is None:
        raise AuthenticationFailed(_("This session has ended. Sign in again."))
    return session


def _outside_session(token: str, now: datetime) -> Session:
    try:
        return outside_session(token, now=now)
    except InvalidToken as error:
        raise AuthenticationFailed(_("The access token is not valid or has expired.")) from error


class BearerAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, Session] | None:
        scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        session = _session(token.strip(), timezone.now())
        structlog.contextvars.bind_contextvars(user_id=str(session.user_id))
        if not _names_a_language(request):
            translation.activate(session.user.language)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return AUTHENTICATE_HEADER


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
