"""Bearer authentication for the API: a signed access token whose session has not been ended."""

from typing import Any, cast

import structlog
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from medtrack.database.clock import process_now
from users.actions.identities import outside_session, verified_outside_token
from users.living_sessions import living_session
from users.models import Session, User
from users.tokens import AccessClaims, InvalidToken, bearer_token, read_access_token

AUTHENTICATE_HEADER = 'Bearer realm="medtrack"'


class SessionEnded(AuthenticationFailed):
    """The session of the access token was ended, or its user is gone."""

    default_detail = _("This session has ended. Sign in again.")


def caller(request: Request) -> User:
    """Returns the signed-in user, whom the default permission requires. Raises SessionEnded."""
    return caller_session(request).user


def caller_session(request: Request) -> Session:
    """Returns the session of the caller's access token. Raises SessionEnded."""
    if isinstance(request.auth, AccessClaims):
        request.auth = _living_session(request, request.auth)
    return cast(Session, request.auth)


def caller_claims(request: Request) -> AccessClaims:
    """Returns what the access token says, for views with SignatureOnly; the session may have ended."""
    return cast(AccessClaims, request.auth)


class BearerAuthentication(BaseAuthentication):
    """Checks the access token's signature and expiry and its session; not the session if `checks_session` is
    False.
    """

    def __init__(self, *, checks_session: bool = True) -> None:
        self.checks_session = checks_session

    def authenticate(self, request: Request) -> tuple[User | AccessClaims, Session | AccessClaims] | None:
        if not (token := bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))):
            return None
        try:
            claims = _read_claims(token)
        except InvalidToken as error:
            raise AuthenticationFailed from error
        structlog.contextvars.bind_contextvars(user_id=str(claims.user_id))
        if not self.checks_session:
            return claims, claims
        session = _living_session(request, claims)
        return session.user, session

    def authenticate_header(self, request: Request) -> str:
        return AUTHENTICATE_HEADER


class SignatureOnly:
    """For views whose own statement checks the session, or that call `caller()`."""

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [BearerAuthentication(checks_session=False)]

    def check_session(self, request: Request) -> None:
        """Called before an operation refuses an unknown name. Raises SessionEnded."""
        caller(request)


def _read_claims(token: str) -> AccessClaims:
    """Returns the claims of our own token or of an outside issuer's. Raises InvalidToken."""
    try:
        return read_access_token(token)
    except InvalidToken:
        session = outside_session(claims=verified_outside_token(token), now=process_now())
        return AccessClaims(session.user_id, session.id)


def _living_session(request: Request, claims: AccessClaims) -> Session:
    session = living_session(claims)
    if session is None:
        raise SessionEnded
    # The profile's language is used unless the client names one of `LANGUAGES`.
    accepted = request.headers.get("Accept-Language", "").lower()
    if not any(code in accepted for code, _name in settings.LANGUAGES):
        translation.activate(session.user.language)
    return session


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
