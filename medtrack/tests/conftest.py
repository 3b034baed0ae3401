from collections.abc import Iterator
from dataclasses import replace

import pytest
from pytest_django import Settings

from medtrack.tests.support.calls import ISSUER
from users.tests.issuer import LocalIssuer


@pytest.fixture(scope="session")
def issuer() -> Iterator[LocalIssuer]:
    with ISSUER.serving():
        yield ISSUER


@pytest.fixture(autouse=True)
def _google(issuer: LocalIssuer, settings: Settings) -> None:
    """The issuer stands in for Google, so that every operation can succeed."""
    google = settings.SOCIAL_ISSUERS["google"]
    local = replace(google, issuer=issuer.url, jwks_url=issuer.jwks_url, audiences=("our-app",))
    settings.SOCIAL_ISSUERS = settings.SOCIAL_ISSUERS | {"google": local}
