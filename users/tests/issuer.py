"""An outside issuer for tests: a real HTTP server with real keys."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.utils import timezone
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from pytest_django import Settings

from users.issuers import Issuer

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class LocalIssuer:
    """`keys` by their kid, as it publishes them now; `asked` counts who wanted to see them."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {"rsa-1": rsa_key(1), "ec-1": ec_key(1)}
        self.asked = 0
        self.status = 200
        self.body: bytes | None = None
        self.when_asked: Callable[[], object] = lambda: None

    @contextmanager
    def serving(self) -> Iterator["LocalIssuer"]:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.stop()
            thread.join()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/keys"

    def token(self, kid: str = "rsa-1", **changes: Any) -> str:
        """Signed by the key of that name; a claim that is None is left out."""
        key = self.keys[kid]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": kid})

    def claims(self, **changes: Any) -> dict[str, Any]:
        now: datetime = timezone.now()
        usual = {
            "iss": self.url,
            "aud": "our-app",
            "sub": "person-1",
            "iat": now,
            "exp": now + timedelta(hours=1),
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def _jwks(self) -> bytes:
        return json.dumps({"keys": [_public(kid, key) for kid, key in self.keys.items()]}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                issuer.when_asked()
                body = issuer._jwks() if issuer.body is None else issuer.body
                self.send_response(issuer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Tests say nothing."""

        return Handler


def _public(kid: str, key: PrivateKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "alg": "RS256"}
    return ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "alg": "ES256"}


def accept_tokens_of(issuer: LocalIssuer, settings: Settings) -> LocalIssuer:
    """Accepts the issuer's own access tokens, which name its sessions. Returns the issuer."""
    local = Issuer(
        "supabase", issuer.url, issuer.jwks_url, audiences=("our-app",), session_claim="session_id"
    )
    settings.OUTSIDE_ISSUERS = {issuer.url: local}
    return issuer
