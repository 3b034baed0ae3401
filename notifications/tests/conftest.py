from collections.abc import Iterator

import pytest
from firebase_admin import credentials

from medtrack.development.fcm.process import FcmStandin
from notifications.transports.fcm import FcmTransport
from notifications.violations import violations


@pytest.fixture(scope="session")
def transport_process(fcm_process: FcmStandin) -> FcmTransport:
    return FcmTransport(
        credentials.Certificate(fcm_process.service_account),
        project_id=fcm_process.service_account["project_id"],
        endpoint=fcm_process.url,
        ca_file=str(fcm_process.certificate_file),
        timeout=2.0,
    )


@pytest.fixture
def transport(fcm: FcmStandin, transport_process: FcmTransport) -> FcmTransport:
    """The production transport, speaking to the stand-in."""
    return transport_process


@pytest.fixture(autouse=True)
def _the_engine_keeps_its_word(request: pytest.FixtureRequest, _django_db_helper: None) -> Iterator[None]:
    """After every test, but those that break it on purpose or write rows that it would not."""
    yield
    uses_database = {"db", "transactional_db"} & set(request.fixturenames)
    if not uses_database and request.node.get_closest_marker("django_db") is None:
        return
    if request.node.get_closest_marker("breaks_the_engine") is None:
        assert [violation for _, found in violations() for violation in found] == []
