"""Tokens that others signed: which issuer's they are, and what they say once their signature is checked.

Knows no database, so that an issuer's keys are never waited for inside a transaction.
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
LEEWAY = 30.0  # seconds that an issuer's clock may be wrong
TIMEOUT = 3.0  # seconds that an issuer has to answer
LIFESPAN = 300.0  # seconds after which its keys are asked for again
PAUSE = 10.0  # seconds between two questions that an unknown key or a failure made us ask


class IssuerUnavailable(Unavailable):
    """The keys of the token's outside issuer cannot be fetched at the moment."""

    default_detail = _("The service that you signed in with cannot be reached. Try again in a moment.")


@dataclass(frozen=True)
class Claims:
    """What a token says, once believed. `email` only when the issuer has verified it."""

    issuer: str
    provider: str
    subject: str
    session: str
    issued_at: datetime
    email: str | None
    name: str
    nonce: str


class KeyRing:
    """The public keys of one issuer. Keys that cannot be renewed stay good: they were never taken back."""

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=TIMEOUT)
        self._keys: dict[str, jwt.PyJWK] = {}
        self._renew_at = self._ask_again_at = 0.0
        self._is_reachable = True
        self._lock = Lock()

    def key(self, kid: str) -> jwt.PyJWK:
        """Raises InvalidToken when the issuer has no such key, and IssuerUnavailable."""
        known = self._keys.get(kid)
        if known and monotonic() < self._renew_at:
            return known
        # Whoever has a key to go on with does not wait for somebody else's question.
        if self._lock.acquire(blocking=known is None):
            try:
                self._renew(kid)
            finally:
                self._lock.release()
        found = self._keys.get(kid)
        if found is None:
            raise InvalidToken if self._is_reachable else IssuerUnavailable
        return found

    def _renew(self, kid: str) -> None:
        now = monotonic()
        is_old = now >= self._renew_at
        if (kid in self._keys and not is_old) or now < self._ask_again_at:
            return
        if not is_old:
            # Somebody's invention, or a key just made: asking is rationed either way.
            self._ask_again_at = now + PAUSE
        try:
            keys = self._client.get_signing_keys()
        except (jwt.PyJWTError, OSError, ValueError, RecursionError) as error:
            log.warning("an issuer's keys cannot be had", url=self._client.uri, error=type(error).__name__)
            self._ask_again_at = monotonic() + PAUSE
            self._is_reachable = False
            return
        self._is_reachable = True
        self._keys = {key.key_id: key for key in keys if key.key_id}
        self._renew_at = monotonic() + LIFESPAN


def unverified_issuer(token: str) -> str:
    """Whose token this claims to be. Raises InvalidToken."""
    if len(token) > MAX_LENGTH:
        raise InvalidToken
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise InvalidToken from error
    return str(claims.get("iss"))


def verified(token: str, issuer: Issuer) -> Claims:
    """What the token of this issuer says. Raises InvalidToken and IssuerUnavailable."""
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
        for name, wanted in issuer.claims.items():
            if claims.get(name) not in wanted:
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
    # Apple writes the truth as a text.
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
