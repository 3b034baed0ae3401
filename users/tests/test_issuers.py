import json
import os
import subprocess
import sys
from typing import Any

import pytest

from users.issuers import Issuer, parse_issuers

SUPABASE = {
    "name": "supabase",
    "issuer": "https://ref.supabase.co/auth/v1",
    "jwks_url": "https://ref.supabase.co/auth/v1/.well-known/jwks.json",
    "audiences": ["authenticated"],
    "session_claim": "session_id",
}
COGNITO = {
    "name": "cognito",
    "issuer": "https://cognito-idp.ap-northeast-2.amazonaws.com/pool",
    "jwks_url": "https://cognito-idp.ap-northeast-2.amazonaws.com/pool/.well-known/jwks.json",
    "claims": {"token_use": "access", "client_id": ["app-1", "app-2"]},
    "algorithms": ["RS256"],
    "session_claim": "origin_jti",
}


def test_issuers_are_found_by_the_claims_of_their_tokens() -> None:
    found = parse_issuers(json.dumps([SUPABASE, COGNITO]))
    assert found[str(COGNITO["issuer"])] == Issuer(
        name="cognito",
        issuer=str(COGNITO["issuer"]),
        jwks_url=str(COGNITO["jwks_url"]),
        algorithms=("RS256",),
        claims={"token_use": ("access",), "client_id": ("app-1", "app-2")},
        session_claim="origin_jti",
    )
    assert found[str(SUPABASE["issuer"])].audiences == ("authenticated",)
    assert parse_issuers(" ") == {}


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("{", "Expecting"),
        ("{}", "not a JSON list"),
        ([7], "entry 1 is not an object"),
        ([SUPABASE, SUPABASE], "named twice"),
        ([SUPABASE | {"audience": "x"}], "unknown 'audience'"),
        ([SUPABASE | {"name": ""}], "has no 'name'"),
        ([SUPABASE | {"name": "x" * 33}], "longer than 32"),
        ([SUPABASE | {"issuer": "medtrack"}], "not an https address"),
        ([SUPABASE | {"jwks_url": "http://example.org/keys"}], "not an https address"),
        ([SUPABASE | {"jwks_url": "file:///etc/passwd"}], "not an https address"),
        ([SUPABASE | {"algorithms": ["HS256"]}], "algorithms of entry 1 are not among"),
        ([SUPABASE | {"algorithms": ["none"]}], "algorithms of entry 1 are not among"),
        ([SUPABASE | {"algorithms": []}], "algorithms of entry 1 are not among"),
        ([SUPABASE | {"audiences": "authenticated"}], "audiences of entry 1 are not a list"),
        ([SUPABASE | {"audiences": []}], "any token would do"),
        ([SUPABASE, COGNITO | {"claims": {"token_use": "access"}}], "entry 2 has neither audiences"),
        ([COGNITO | {"claims": {"client_id": []}}], "any token would do"),
        ([COGNITO | {"claims": {"client_id": 7}}], "not a list of texts"),
        ([COGNITO | {"claims": []}], "not an object"),
        ([SUPABASE | {"session_claim": 7}], "has no 'session_claim'"),
    ],
)
def test_a_list_that_cannot_be_parsed_is_refused_with_its_problem(written: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_issuers(written if isinstance(written, str) else json.dumps(written))


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("OUTSIDE_ISSUERS", "{", "docs/operating.md has an example"),
        ("THROTTLES", "login=often", "write for example login_account=10/900"),
        ("THROTTLES", "logins=1/1", "write for example login_account=10/900"),
        ("ENCRYPTION_KEYS", "short", "give each 50 or more random characters"),
        ("EMAIL_URL", "carrier-pigeon://loft", "such as smtp"),
        ("EMAIL_URL", "smtp://mail.example.org:port", "write for example smtp"),
    ],
)
def test_a_setting_that_cannot_be_parsed_stops_the_start_with_its_remedy(
    name: str, value: str, remedy: str
) -> None:
    refused = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode != 0
    assert f"{name} cannot be used" in refused.stderr
    assert remedy in refused.stderr


@pytest.mark.parametrize(("debug", "backend"), [("true", "console"), ("false", "dummy")])
def test_in_development_mails_are_written_into_the_terminal(debug: str, backend: str) -> None:
    said = subprocess.run(
        [sys.executable, "manage.py", "diffsettings", "--all"],
        env={name: value for name, value in os.environ.items() if name != "EMAIL_URL"} | {"DEBUG": debug},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"EMAIL_BACKEND = 'django.core.mail.backends.{backend}.EmailBackend'" in said.stdout
