import pytest
from firebase_admin import credentials

from notifications.fcm_standin.process import FcmStandin
from notifications.transports.fcm import FcmTransport


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
