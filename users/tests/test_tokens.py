from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from django.conf import settings
from django.utils import timezone

from users.tokens import (
    AUDIENCE,
    ISSUER,
    AccessClaims,
    InvalidToken,
    RefreshToken,
    access_token,
    read_access_token,
)


def claims(**changes: Any) -> dict[str, Any]:
    now = timezone.now()
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "typ": "access",
        "sub": str(uuid4()),
        "sid": str(uuid4()),
        "iat": now,
        "exp": now + timedelta(minutes=1),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def test_an_access_token_names_its_user_and_session() -> None:
    user_id, session_id = uuid4(), uuid4()
    token = access_token(user_id=user_id, session_id=session_id, now=timezone.now())
    assert read_access_token(token) == AccessClaims(user_id, session_id)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "another-api"},
        {"typ": "refresh"},
        {"sub": "not-a-uuid"},
        {"sub": None},
        {"sid": None},
        {"sid": 7},
        {"exp": None},
        {"exp": timezone.now() - timedelta(seconds=1)},
    ],
)
def test_an_access_token_with_wrong_claims_is_refused(changes: dict[str, Any]) -> None:
    token = jwt.encode(claims(**changes), settings.SECRET_KEY, "HS256")
    with pytest.raises(InvalidToken):
        read_access_token(token)


def test_an_access_token_signed_by_another_key_or_by_none_is_refused() -> None:
    other_key = jwt.encode(claims(), "x" * 64, "HS256")
    unsigned = jwt.encode(claims(), "", "none")
    for token in (other_key, unsigned, "", "a.b.c", "é"):
        with pytest.raises(InvalidToken):
            read_access_token(token)


def test_a_refresh_token_survives_its_written_form() -> None:
    token = RefreshToken.new(uuid4())
    assert RefreshToken.parse(str(token)) == token


def test_a_token_of_a_machine_whose_clock_is_slightly_ahead_is_accepted() -> None:
    ahead = timezone.now() + timedelta(seconds=5)
    assert read_access_token(access_token(user_id=uuid4(), session_id=uuid4(), now=ahead))
