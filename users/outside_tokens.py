"""Tokens of outside issuers: fetching the issuer's keys, and checking a token with them.

Must not use the database, so that no transaction waits for an issuer's keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import Any

import jwt
import structlog
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from medtrack.http.problems import Unavailable
from users.email_addresses import canonical_email
from users.issuers import Issuer
from users.tokens import InvalidToken

log = structlog.get_logger(__name__)

MAX_LENGTH = 8192
LEEWAY = 30.0  # seconds by which an issuer's clock may be wrong
TIMEOUT = 3.0  # seconds to wait for an issuer's answer
LIFESPAN = 300.0  # seconds after which an issuer's keys are fetched again
PAUSE = 10.0  # seconds between two fetches because of an unknown key or a failure


class IssuerUnavailable(Unavailable):
    """The keys of the token's outside issuer cannot be fetched at the moment."""

    default_detail = _("The service that you signed in with cannot be reached. Try again in a moment.")


@dataclass(frozen=True)
class Claims:
    """The claims of a checked token. `email` is None unless the issuer has verified it."""

    issuer: str
    provider: str
    subject: str
    session: str
    issued_at: datetime
    email: str | None
    name: str
    nonce: str


class KeyRing:
    """The public keys of one issuer. They stay valid when they cannot be fetched again."""

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=TIMEOUT)
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetch_at = self._retry_at = 0.0
        self._is_reachable = True
        self._lock = Lock()

    def key(self, kid: str) -> jwt.PyJWK:
        """Raises InvalidToken when the issuer has no such key, and IssuerUnavailable."""
        key = self._keys.get(kid)
        if key and monotonic() < self._fetch_at:
            return key
        # One thread fetches. The others wait only if they have no key: one that is due to be fetched is still valid.
        if self._lock.acquire(blocking=key is None):
            try:
                self._fetch(kid)
            finally:
                self._lock.release()
        key = self._keys.get(kid)
        if key is None:
            raise InvalidToken if self._is_reachable else IssuerUnavailable
        return key

    def _fetch(self, kid: str) -> None:
        now = monotonic()
        is_old = now >= self._fetch_at
        if (kid in self._keys and not is_old) or now < self._retry_at:
            return
        if not is_old:
            # The key id may be made up, or the key new. Either way the issuer is asked once in PAUSE seconds.
            self._retry_at = now + PAUSE
        try:
            keys = self._client.get_signing_keys()
        except (jwt.PyJWTError, OSError, ValueError, RecursionError) as error:
            log.warning("cannot fetch issuer keys", url=self._client.uri, error=type(error).__name__)
            self._retry_at = monotonic() + PAUSE
            self._is_reachable = False
            return
        self._is_reachable = True
        self._keys = {key.key_id: key for key in keys if key.key_id}
        self._fetch_at = monotonic() + LIFESPAN


def unverified_issuer(token: str) -> str:
    """Returns the issuer that the token names, without checking it. Raises InvalidToken."""
    if len(token) > MAX_LENGTH:
        raise InvalidToken
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise InvalidToken from error
    return str(claims.get("iss"))


def verified(token: str, issuer: Issuer) -> Claims:
    """Checks a token of this issuer and returns its claims. Raises InvalidToken and IssuerUnavailable."""
    if len(token) > MAX_LENGTH:
        raise InvalidToken
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in issuer.algorithms or not header.get("kid"):
            raise InvalidToken
        claims = jwt.decode(
            token,
            _key_ring(issuer.jwks_url).key(header["kid"]),
            list(issuer.algorithms),
            audience=issuer.audiences or None,
            issuer=[issuer.issuer, *issuer.aliases],
            leeway=LEEWAY,
            options={"require": ["exp", "iat", "iss", "sub"]},
        )
        for name, values in issuer.claims.items():
            if claims.get(name) not in values:
                raise InvalidToken
        return _claims(claims, issuer)
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidToken from error


def _claims(claims: Mapping[str, Any], issuer: Issuer) -> Claims:
    return Claims(
        issuer=issuer.issuer,
        provider=issuer.name,
        subject=_identifier(claims["sub"]),
        session=_identifier(claims[issuer.session_claim]) if claims.get(issuer.session_claim) else "",
        issued_at=datetime.fromtimestamp(int(claims["iat"]), UTC),
        email=_verified_email(claims),
        name=_name(claims.get("name")),
        nonce=str(claims.get("nonce") or ""),
    )


def _identifier(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 255:
        raise InvalidToken
    return value


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    email = claims.get("email")
    # Apple sends the boolean as a string.
    if not isinstance(email, str) or claims.get("email_verified") not in (True, "true"):
        return None
    try:
        return canonical_email(email)
    except ValidationError:
        return None


def _name(value: Any) -> str:
    return value[:100] if isinstance(value, str) and value.isprintable() else ""


@lru_cache(maxsize=64)
def _key_ring(url: str) -> KeyRing:
    return KeyRing(url)
