"""firebase-admin against the FCM stand-in."""

from collections.abc import Iterator

import firebase_admin
import pytest
from firebase_admin import credentials, messaging

from medtrack.development.fcm.tests.client import DEVICE, SEND


@pytest.fixture
def firebase_app(standin, monkeypatch) -> Iterator[firebase_admin.App]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(standin.certificate_file))
    account = credentials.Certificate(standin.service_account)
    app = firebase_admin.initialize_app(account, {"projectId": "medtrack-local"}, name="standin")
    # The address is fixed in the library; everything else on the way is its own.
    messaging._get_messaging_service(app)._fcm_url = standin.url + SEND
    yield app
    firebase_admin.delete_app(app)


def test_firebase_admin_sends(standin, firebase_app):
    name = messaging.send(messaging.Message(fid=DEVICE, data={"a": "b"}), app=firebase_app)

    assert standin.ledger()[-1]["name"] == name


def test_firebase_admin_retries_by_itself(standin, firebase_app):
    standin.arm("503", times=2, retry_after=0)
    lines = len(standin.ledger())

    messaging.send(messaging.Message(fid=DEVICE), app=firebase_app)

    assert [line["status"] for line in standin.ledger()[lines:]] == [503, 503, 200]


@pytest.mark.parametrize(
    ("device", "fault", "error"),
    [
        ("unregistered-1", None, messaging.UnregisteredError),
        ("sender-mismatch-1", None, messaging.SenderIdMismatchError),
        (DEVICE, "429", messaging.QuotaExceededError),
        (DEVICE, "429-project", firebase_admin.exceptions.ResourceExhaustedError),
        (DEVICE, "401", messaging.ThirdPartyAuthError),
        ("invalid-1", None, firebase_admin.exceptions.InvalidArgumentError),
    ],
)
def test_firebase_admin_raises(standin, firebase_app, device, fault, error):
    if fault:
        # google-auth takes any 401 for an expired token and tries twice more.
        standin.arm(fault, times=3)

    with pytest.raises(error) as raised:
        messaging.send(messaging.Message(fid=device), app=firebase_app)

    assert type(raised.value) is error
