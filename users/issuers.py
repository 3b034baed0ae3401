"""The outside issuers whose tokens are accepted. The settings import this module, so it must not import Django."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

# Asymmetric: a public key alone cannot sign.
ASYMMETRIC = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
# The claims that say for which client a token is, if it has no audience.
_CLIENT_CLAIMS = ("client_id", "azp")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_KEYS = {"name", "issuer", "jwks_url", "audiences", "algorithms", "claims", "session_claim"}


@dataclass(frozen=True)
class Issuer:
    """A token must have each of `claims`, with one of its values."""

    name: str
    issuer: str
    jwks_url: str
    audiences: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    session_claim: str = ""
    aliases: tuple[str, ...] = ()


def social_issuers(*, google: Sequence[str], apple: Sequence[str], kakao: Sequence[str]) -> dict[str, Issuer]:
    """Returns the issuers of social sign-ins by name; each is given the client ids that its tokens may be for."""
    return {
        "google": Issuer(
            name="google",
            issuer="https://accounts.google.com",
            aliases=("accounts.google.com",),
            jwks_url="https://www.googleapis.com/oauth2/v3/certs",
            audiences=tuple(google),
        ),
        "apple": Issuer(
            name="apple",
            issuer="https://appleid.apple.com",
            jwks_url="https://appleid.apple.com/auth/keys",
            audiences=tuple(apple),
        ),
        "kakao": Issuer(
            name="kakao",
            issuer="https://kauth.kakao.com",
            jwks_url="https://kauth.kakao.com/.well-known/jwks.json",
            audiences=tuple(kakao),
        ),
    }


def parse_issuers(text: str) -> dict[str, Issuer]:
    """Returns the issuers of a JSON list by their `iss`. Raises ValueError, which names the entry and its problem."""
    if not text.strip():
        return {}
    listed = json.loads(text)
    if not isinstance(listed, list):
        raise ValueError("it is not a JSON list")
    issuers = [_issuer(entry, f"entry {number}") for number, entry in enumerate(listed, 1)]
    by_name = {issuer.issuer: issuer for issuer in issuers}
    if len(by_name) != len(issuers):
        raise ValueError("an issuer is named twice")
    return by_name


def _issuer(entry: Any, where: str) -> Issuer:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} is not an object")
    if unknown := set(entry) - _KEYS:
        raise ValueError(f"{where} has an unknown {min(unknown)!r}")
    issuer = Issuer(
        name=_text(entry, "name", where),
        issuer=_url(entry, "issuer", where),
        jwks_url=_url(entry, "jwks_url", where),
        audiences=_texts(entry.get("audiences", []), f"audiences of {where}"),
        algorithms=_texts(entry.get("algorithms", ["RS256", "ES256"]), f"algorithms of {where}"),
        claims=_claims(entry.get("claims", {}), where),
        session_claim=_text(entry, "session_claim", where) if "session_claim" in entry else "",
    )
    if len(issuer.name) > 32:
        raise ValueError(f"the name of {where} is longer than 32 letters")
    if not issuer.algorithms or not set(issuer.algorithms) <= set(ASYMMETRIC):
        raise ValueError(f"the algorithms of {where} are not among {', '.join(ASYMMETRIC)}")
    if not issuer.audiences and not any(issuer.claims.get(claim) for claim in _CLIENT_CLAIMS):
        raise ValueError(
            f"{where} has neither audiences nor a client_id among its claims: any token would do"
        )
    return issuer


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where} has no {key!r}")
    return value


def _url(entry: dict[str, Any], key: str, where: str) -> str:
    url = _text(entry, key, where)
    parts = urlsplit(url)
    if len(url) > 255 or not (
        (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and parts.hostname in _LOCAL)
    ):
        raise ValueError(f"the {key} of {where} is not an https address")
    return url


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
        raise ValueError(f"the {what} are not a list of texts")
    return tuple(value)


def _claims(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise ValueError(f"the claims of {where} are not an object")
    return {
        claim: (wanted,) if isinstance(wanted, str) else _texts(wanted, f"values of {claim!r} of {where}")
        for claim, wanted in value.items()
    }
