from collections.abc import Iterator
from dataclasses import replace

import pytest
from pytest_django import Settings

from users.tests.issuer import LocalIssuer, accept_tokens_of


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    with LocalIssuer().serving() as issuer:
        yield issuer


@pytest.fixture
def google(issuer: LocalIssuer, settings: Settings) -> LocalIssuer:
    """The issuer, in Google's place."""
    local = replace(
        settings.SOCIAL_ISSUERS["google"],
        issuer=issuer.url,
        jwks_url=issuer.jwks_url,
        audiences=("our-app",),
    )
    settings.SOCIAL_ISSUERS = settings.SOCIAL_ISSUERS | {"google": local}
    return issuer


@pytest.fixture
def outside(issuer: LocalIssuer, settings: Settings) -> LocalIssuer:
    return accept_tokens_of(issuer, settings)
