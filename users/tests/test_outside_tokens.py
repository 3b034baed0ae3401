import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone
from jwt.algorithms import HMACAlgorithm, RSAAlgorithm

from users import outside_tokens
from users.issuers import Issuer
from users.outside_tokens import IssuerUnavailable, KeyRing, unverified_issuer, verified
from users.tests.issuer import LocalIssuer, ec_key, rsa_key
from users.tokens import InvalidToken

HOUR = timedelta(hours=1)


def known(issuer: LocalIssuer, **changes: Any) -> Issuer:
    values: dict[str, Any] = {"audiences": ("our-app",), "session_claim": "session_id", **changes}
    return Issuer("local", issuer.url, issuer.jwks_url, **values)


def parts(*segments: object) -> str:
    """A token written by hand."""
    return ".".join(
        base64.urlsafe_b64encode(
            segment if isinstance(segment, bytes) else json.dumps(segment).encode()
        ).decode()
        for segment in segments
    ).replace("=", "")


def seconds(claims: dict[str, Any]) -> dict[str, Any]:
    """Instants as a token holds them."""
    return {
        name: int(value.timestamp()) if isinstance(value, datetime) else value
        for name, value in claims.items()
    }


def signed_with(secret: bytes, header: dict[str, str], issuer: LocalIssuer) -> str:
    signing_input = parts(header, seconds(issuer.claims()))
    signature = HMACAlgorithm(HMACAlgorithm.SHA256).sign(signing_input.encode(), secret)
    return f"{signing_input}.{parts(signature)}"


@pytest.mark.parametrize("kid", ["rsa-1", "ec-1"])
def test_a_token_names_its_user_and_session(issuer: LocalIssuer, kid: str) -> None:
    token = issuer.token(kid, session_id="session-1", name="Dora", nonce="n")
    claims = verified(token, known(issuer))
    assert (claims.issuer, claims.subject, claims.session) == (issuer.url, "person-1", "session-1")
    assert (claims.name, claims.nonce, claims.email, claims.provider) == ("Dora", "n", None, "local")
    assert unverified_issuer(token) == issuer.url


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another-app"},
        {"aud": ["another-app", "a-third"]},
        {"aud": None},
        {"iss": "https://issuer.example.org"},
        {"iss": None},
        {"exp": timezone.now() - HOUR},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": timezone.now() + HOUR},
        {"iat": timezone.now() + HOUR},
        {"iat": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\u0000b"},
        {"sub": "\ud800"},
        {"sub": "x" * 256},
        {"session_id": 7},
        {"session_id": "x" * 256},
        {"session_id": "a\u0000b"},
    ],
)
def test_a_token_with_wrong_claims_is_refused(issuer: LocalIssuer, changes: dict[str, Any]) -> None:
    signing_input = parts({"alg": "RS256", "kid": "rsa-1"}, seconds(issuer.claims(**changes)))
    signature = RSAAlgorithm(RSAAlgorithm.SHA256).sign(signing_input.encode(), rsa_key(1))
    with pytest.raises(InvalidToken):
        verified(f"{signing_input}.{parts(signature)}", known(issuer))


def test_a_required_claim_must_have_one_of_its_values(issuer: LocalIssuer) -> None:
    wanted = {"token_use": ("access",), "client_id": ("app-1", "app-2")}
    cognito = known(issuer, audiences=(), claims=wanted, session_claim="origin_jti")
    good: dict[str, Any] = {
        "aud": None,
        "token_use": "access",
        "client_id": "app-2",
        "origin_jti": "session-1",
    }
    assert verified(issuer.token(**good), cognito).session == "session-1"
    for change in (
        {"token_use": "id"},
        {"client_id": "app-3"},
        {"client_id": ["app-1"]},
        {"token_use": None},
        {"aud": "app-1"},
    ):
        with pytest.raises(InvalidToken):
            verified(issuer.token(**good | change), cognito)


def test_a_token_signed_with_the_public_key_or_unsigned_is_refused(issuer: LocalIssuer) -> None:
    public = rsa_key(1).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for algorithm in ("HS256", "hs256"):
        with pytest.raises(InvalidToken):
            verified(signed_with(public, {"alg": algorithm, "kid": "rsa-1"}, issuer), known(issuer))
    for unsigned in ("none", "None", "", None):
        with pytest.raises(InvalidToken):
            verified(f"{parts({'alg': unsigned, 'kid': 'rsa-1'}, seconds(issuer.claims()))}.", known(issuer))
    assert issuer.asked == 0


def test_a_symmetric_key_in_the_jwks_is_not_used(issuer: LocalIssuer) -> None:
    secret = b"x" * 32
    encoded = base64.urlsafe_b64encode(secret).decode().rstrip("=")
    oct_key = {"kty": "oct", "k": encoded, "kid": "oct-1", "alg": "HS256"}
    issuer.body = json.dumps({"keys": [oct_key]}).encode()
    for algorithm in ("HS256", "RS256"):
        with pytest.raises(InvalidToken):
            verified(signed_with(secret, {"alg": algorithm, "kid": "oct-1"}, issuer), known(issuer))


def test_a_token_signed_by_a_key_of_another_kind_or_issuer_is_refused(issuer: LocalIssuer) -> None:
    tokens = [
        jwt.encode(issuer.claims(), rsa_key(2), "RS256", headers={"kid": "rsa-1"}),
        jwt.encode(issuer.claims(), ec_key(2), "ES256", headers={"kid": "ec-1"}),
        jwt.encode(issuer.claims(), ec_key(1), "ES256", headers={"kid": "rsa-1"}),
        jwt.encode(issuer.claims(), rsa_key(1), "PS256", headers={"kid": "rsa-1"}),
        jwt.encode(issuer.claims(), rsa_key(1), "RS256"),
    ]
    for token in tokens:
        with pytest.raises(InvalidToken):
            verified(token, known(issuer))


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "a.b.c",
        "é.é.é",
        "\ud800",
        "..",
        parts(b"[" * 4000, b"[" * 2000, b"x"),
        parts({"alg": "RS256", "kid": "rsa-1"}, b"[" * 4000, b"x"),
        parts({"alg": "RS256", "kid": ["rsa-1"]}, {}, b"x"),
        parts({"alg": ["RS256"], "kid": "rsa-1"}, {}, b"x"),
        parts([], [], b"x"),
        parts({"alg": "RS256", "kid": "rsa-1"}, b'{"iat": 1' + b"0" * 5000 + b"}", b"x"),
    ],
)
def test_nonsense_is_refused(issuer: LocalIssuer, nonsense: str) -> None:
    with pytest.raises(InvalidToken):
        verified(nonsense, known(issuer))
    with suppress(InvalidToken):
        assert unverified_issuer(nonsense) == "None"


def test_a_huge_token_is_refused_unparsed(issuer: LocalIssuer) -> None:
    token = issuer.token(padding="x" * 10_000)
    for read in (unverified_issuer, lambda token: verified(token, known(issuer))):
        with pytest.raises(InvalidToken):
            read(token)
    assert issuer.asked == 0


@pytest.mark.parametrize(
    ("claims", "email"),
    [
        ({"email": "dora@example.com", "email_verified": True}, "dora@example.com"),
        ({"email": "dora@example.com", "email_verified": "true"}, "dora@example.com"),
        ({"email": "dora@example.com", "email_verified": "false"}, None),
        ({"email": "dora@example.com"}, None),
        ({"email": "nonsense", "email_verified": True}, None),
        ({"email": ["dora@example.com"], "email_verified": True}, None),
        (
            {"email": "a@" + "x" * 60 + "." + "y" * 60 + "." + "z" * 140 + ".com", "email_verified": True},
            None,
        ),
    ],
)
def test_an_email_is_used_only_if_the_issuer_has_verified_it(
    issuer: LocalIssuer, claims: dict[str, Any], email: str | None
) -> None:
    assert verified(issuer.token(**claims), known(issuer)).email == email


def test_many_threads_fetch_keys_once(issuer: LocalIssuer) -> None:
    start, ring = Barrier(20), KeyRing(issuer.jwks_url)

    def ask(_number: int) -> str | None:
        start.wait()
        return ring.key("rsa-1").key_id

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(ask, range(20))) == {"rsa-1"}
    assert issuer.asked == 1


def test_a_rotated_key_is_found_and_random_key_ids_do_not_flood_the_issuer(issuer: LocalIssuer) -> None:
    local = known(issuer)
    verified(issuer.token(), local)
    issuer.keys["rsa-2"] = rsa_key(2)
    assert verified(issuer.token("rsa-2"), local).subject == "person-1"
    assert issuer.asked == 2
    issuer.keys["random"] = rsa_key(3)
    token = issuer.token("random")
    del issuer.keys["random"]
    for _ in range(50):
        with pytest.raises(InvalidToken):
            verified(token, local)
    assert issuer.asked == 2


def test_an_unknown_key_is_fetched_again_after_a_pause(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(issuer.jwks_url)
    for _ in range(2):
        with pytest.raises(InvalidToken):
            ring.key("rsa-2")
    issuer.keys["rsa-2"] = rsa_key(2)
    with pytest.raises(InvalidToken):
        ring.key("rsa-2")
    _later(monkeypatch, outside_tokens.PAUSE)
    assert ring.key("rsa-2").key_id == "rsa-2"


def test_a_key_that_was_withdrawn_is_not_accepted_any_more(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing(issuer.jwks_url)
    ring.key("rsa-1")
    del issuer.keys["rsa-1"]
    _later(monkeypatch, outside_tokens.LIFESPAN)
    with pytest.raises(InvalidToken):
        ring.key("rsa-1")


@pytest.mark.parametrize(
    "fail",
    [
        lambda issuer: issuer.stop(),
        lambda issuer: setattr(issuer, "status", 500),
        lambda issuer: setattr(issuer, "body", b"nonsense"),
        lambda issuer: setattr(issuer, "body", b"[" * 100_000),
        lambda issuer: setattr(issuer, "body", b'{"keys": []}'),
    ],
)
def test_known_keys_of_an_unreachable_issuer_stay_valid(
    issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch, fail: Callable[[LocalIssuer], object]
) -> None:
    ring, new = KeyRing(issuer.jwks_url), KeyRing(issuer.jwks_url)
    ring.key("rsa-1")
    fail(issuer)
    _later(monkeypatch, outside_tokens.LIFESPAN)
    assert ring.key("rsa-1").key_id == "rsa-1"
    with pytest.raises(IssuerUnavailable):
        ring.key("rsa-2")
    asked = issuer.asked
    for _ in range(10):
        with pytest.raises(IssuerUnavailable):
            new.key("rsa-1")
    assert issuer.asked <= asked + 1


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(outside_tokens, "monotonic", lambda: time.monotonic() + seconds)
