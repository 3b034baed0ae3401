"""The two tokens of a session: a short signed access token and an opaque refresh token that works once."""

import hashlib
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import ClassVar
from uuid import UUID

import jwt
from django.conf import settings
from django.utils.crypto import salted_hmac

from users.signing_keys import signing_keys

ALGORITHM = "HS256"
ISSUER = "medtrack"
AUDIENCE = "medtrack-api"
_SECRET_BYTES = 32


class InvalidToken(Exception):
    """The token was not made here, was changed, or has expired."""


@dataclass(frozen=True)
class AccessClaims:
    """The user and the session that a token was issued for. The session may have ended since."""

    user_id: UUID
    session_id: UUID
    is_authenticated: ClassVar[bool] = True


@dataclass(frozen=True)
class RefreshToken:
    """`family` finds the session, `secret` proves that this is its newest token."""

    family: UUID
    secret: bytes

    @classmethod
    def new(cls, family: UUID) -> "RefreshToken":
        return cls(family, secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> "RefreshToken":
        try:
            raw = urlsafe_b64decode(text.encode("ascii"))
        except (UnicodeError, Base64Error) as error:
            raise InvalidToken from error
        if len(raw) != 16 + _SECRET_BYTES:
            raise InvalidToken
        return cls(UUID(bytes=raw[:16]), raw[16:])

    def successors(self) -> list["RefreshToken"]:
        """Returns the next token of the family for each signing key, the present key's first.

        It is derived from this one, so that a response that was lost can be repeated.
        """
        salt, value = "users.tokens.successor", self.family.bytes + self.secret
        return [
            RefreshToken(self.family, salted_hmac(salt, value, secret=key, algorithm="sha256").digest())
            for key in signing_keys()
        ]

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.secret).digest()

    def __str__(self) -> str:
        return urlsafe_b64encode(self.family.bytes + self.secret).decode("ascii")


def access_token(*, user_id: UUID, session_id: UUID, now: datetime) -> str:
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "typ": "access",
        "sub": str(user_id),
        "sid": str(session_id),
        "iat": now,
        "exp": now + settings.ACCESS_TOKEN_LIFETIME,
    }
    return jwt.encode(claims, settings.SECRET_KEY, ALGORITHM)


def read_access_token(text: str, *, even_expired: bool = False) -> AccessClaims:
    """Returns the claims of an access token. Raises InvalidToken."""
    for key in signing_keys():
        with suppress(InvalidToken):
            claims, expires_at = _verified(text, key)
            break
    else:
        raise InvalidToken
    if expires_at <= time.time() and not even_expired:
        raise InvalidToken
    return claims


@lru_cache(maxsize=16_384)
def _verified(text: str, key: str) -> tuple[AccessClaims, int]:
    """Returns the claims and the expiry in seconds since the epoch. Cached, so that a signature is checked once."""
    try:
        claims = jwt.decode(
            text,
            key,
            [ALGORITHM],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={
                "require": ["exp", "iat", "sub", "sid", "typ"],
                "verify_exp": False,
                "verify_iat": False,
            },
        )
        if claims["typ"] != "access":
            raise InvalidToken
        return AccessClaims(UUID(claims["sub"]), UUID(claims["sid"])), int(claims["exp"])
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError) as error:
        raise InvalidToken from error


def bearer_token(header: str) -> str:
    """Returns the token of an Authorization header; empty if there is none."""
    scheme, _space, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
