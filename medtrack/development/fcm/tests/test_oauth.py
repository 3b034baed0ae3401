"""The FCM stand-in issues access tokens like Google's OAuth endpoint."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from medtrack.development.fcm.identity import ensure_service_account
from medtrack.development.fcm.process import FcmStandin
from medtrack.development.fcm.tests.client import GRANT, SCOPE, Reply, post, send


def grant(standin: FcmStandin, form: dict[str, str], version: str = "HTTP/1.1") -> Reply:
    return post(standin, version, urlencode(form).encode(), None, path="/token")


def assertion(standin: FcmStandin, *, key: str | None = None, **claims: Any) -> dict[str, str]:
    account = standin.service_account
    now = int(time.time())
    good = {
        "iss": account["client_email"],
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
        "scope": SCOPE,
    }
    payload = {name: value for name, value in (good | claims).items() if value is not None}
    signed = jwt.encode(payload, key or account["private_key"], algorithm="RS256")
    return {"grant_type": GRANT, "assertion": signed}


@pytest.mark.parametrize("audience", [None, "https://oauth2.googleapis.com/token"])
def test_an_assertion_is_exchanged_for_an_access_token(standin, version, audience):
    claims = {"aud": audience} if audience else {}

    reply = grant(standin, assertion(standin, **claims), version)

    assert (reply.status, reply.content["token_type"], reply.content["expires_in"]) == (200, "Bearer", 3599)
    assert send(standin, version, reply.content["access_token"]).status == 200


# `iat` and `exp` are in seconds from now, so that a long run of the tests does not bring them nearer.
BAD_GRANTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "another issuer": ({"iss": "who@else"}, "invalid_grant", "account not found"),
    "another audience": ({"aud": "https://a.kr"}, "invalid_grant", "Failed audience check"),
    "no audience": ({"aud": None}, "invalid_grant", "aud"),
    "an expired assertion": ({"iat": -7200, "exp": -3600}, "invalid_grant", "short-lived"),
    "an assertion from the future": ({"iat": 900, "exp": 1800}, "invalid_grant", "short-lived"),
    "a lasting assertion": ({"exp": 9000}, "invalid_grant", "short-lived"),
    "another scope": ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope", "scope"),
    "no scope": ({"scope": None}, "invalid_scope", "scope"),
}


@pytest.mark.parametrize(("claims", "error", "words"), BAD_GRANTS.values(), ids=BAD_GRANTS.keys())
def test_no_access_token_is_issued_for(standin, claims, error, words):
    now = int(time.time())
    claims = {name: now + value if name in ("iat", "exp") else value for name, value in claims.items()}

    reply = grant(standin, assertion(standin, **claims))

    assert (reply.status, reply.content["error"]) == (400, error)
    assert words in reply.content["error_description"]


def test_an_assertion_by_another_key_has_an_invalid_signature(standin, tmp_path):
    ensure_service_account(tmp_path, project="p", url="https://a.kr")
    other = json.loads((tmp_path / "service-account.json").read_text())["private_key"]

    reply = grant(standin, assertion(standin, key=other))

    assert reply.content == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


@pytest.mark.parametrize("form", [{}, {"grant_type": "password"}, {"grant_type": GRANT, "assertion": "x"}])
def test_a_grant_without_an_assertion_is_refused(standin, version, form):
    assert grant(standin, form, version).status == 400
