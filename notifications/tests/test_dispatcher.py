"""The dispatcher and the production transport against the FCM stand-in: real TLS, HTTP/2 and OAuth."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from firebase_admin import credentials

from medtrack.development.fcm.process import FcmStandin
from medtrack.tests.support.builders import device_of, dose_due, person
from notifications import dispatcher, queue
from notifications.dispatcher import Tally, dispatch
from notifications.judgement import USERS
from notifications.messages import bodies
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.pacing import Pace
from notifications.transports.fcm import FcmTransport
from notifications.transports.results import FcmResult, FcmResultKind
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def due_now(name: str = "Ana", *, token: str = "", **profile: Any) -> None:
    user = person(name, **profile).user
    device_of(user, token)
    dose_due(user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()


def pace() -> Pace:
    """A project of its own for every test, so that none is slowed down by another's faults."""
    return Pace(settings.REDIS_URL, project_id=str(uuid4()), rate=10_000, ramp=0)


def run(transport: FcmTransport) -> Tally:
    return dispatch(transport=transport, pace=pace(), time_slice=timedelta(seconds=5))


def accepted(fcm: FcmStandin) -> list[dict[str, Any]]:
    return [line["message"] for line in fcm.ledger() if line["status"] == 200]


def hurry() -> None:
    """As if the back-off were over."""
    NotificationLog.objects.filter(status="queued").update(retry_at=timezone.now())


def test_a_due_reminder_is_handed_to_fcm_as_the_contract_says(
    fcm: FcmStandin, transport: FcmTransport
) -> None:
    due_now(language="ko")
    assert run(transport).sent == 1
    (message,) = accepted(fcm)
    row = NotificationLog.objects.get()
    assert message["token"] == "token-of-Ana"
    assert message["data"] == {"kind": "due", "notification_id": str(row.id), "dose_ids": str(row.dose_id)}
    assert message["android"]["priority"] == "high"
    assert message["android"]["collapse_key"] == "due"
    assert (
        message["android"]["notification"]["tag"]
        == message["apns"]["headers"]["apns-collapse-id"]
        == str(row.tag)
    )
    assert int(message["apns"]["headers"]["apns-expiration"]) == int(row.expires_at.timestamp())
    assert 1700 < float(message["android"]["ttl"].rstrip("s")) <= 1800
    assert "Metformin" not in str(message)
    assert PushDelivery.objects.get().message_id == fcm.ledger()[0]["name"]


def test_a_second_dispatcher_finds_nothing_to_do(fcm: FcmStandin, transport: FcmTransport) -> None:
    due_now()
    run(transport)
    assert run(transport) == Tally()
    assert len(fcm.ledger()) == 1


def test_an_unregistered_token_is_revoked_and_the_other_phone_is_unaffected(
    fcm: FcmStandin, transport: FcmTransport
) -> None:
    due_now(token="unregistered-phone")
    device_of(DeviceToken.objects.get().user, "good-phone")
    run(transport)
    assert NotificationLog.objects.get().status == "accepted"
    assert DeviceToken.objects.get(token="unregistered-phone").revoke_reason == "UNREGISTERED"
    assert DeviceToken.objects.get(token="good-phone").revoked_at is None


@pytest.mark.parametrize("fault", ["500", "503", "429", "close"])
def test_a_failing_fcm_is_asked_again_with_the_same_tag(
    fcm: FcmStandin, transport: FcmTransport, fault: str
) -> None:
    due_now()
    fcm.arm(fault)
    run(transport)
    row = NotificationLog.objects.get()
    assert (row.status, row.attempts) == ("queued", 1)
    assert row.retry_at is not None
    assert row.retry_at > timezone.now() + timedelta(seconds=5)
    assert PushDelivery.objects.get().outcome == "retry"
    hurry()
    run(transport)
    assert NotificationLog.objects.get().status == "accepted"
    assert len(accepted(fcm)) == 1


@pytest.mark.parametrize("fault", ["accept-then-503", "accept-then-close", "accept-then-hang"])
def test_a_lost_answer_is_the_only_reason_for_a_repeat_and_it_carries_the_same_tag(
    fcm: FcmStandin, transport: FcmTransport, fault: str
) -> None:
    due_now()
    fcm.arm(fault)
    run(transport)
    hurry()
    run(transport)
    tags = [message["android"]["notification"]["tag"] for message in accepted(fcm)]
    assert len(tags) == 2
    assert len(set(tags)) == 1
    assert PushDelivery.objects.filter(outcome="accepted").count() == 1


def test_a_refused_access_token_is_renewed_once(fcm: FcmStandin, transport: FcmTransport) -> None:
    due_now()
    transport._token._credential.token = "stale"
    assert run(transport).sent == 1


def test_a_wrong_project_keeps_token_and_reminder(fcm: FcmStandin) -> None:
    due_now()
    run(transport_of(fcm, "another"))
    assert NotificationLog.objects.get().status == "queued"
    assert DeviceToken.objects.get().revoked_at is None


def test_nothing_is_sent_when_the_lease_would_not_outlast_the_request(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_now()
    monkeypatch.setattr("notifications.dispatcher.LEASE", timedelta(seconds=transport.timeout))
    dispatch(transport=transport, pace=pace(), time_slice=timedelta(seconds=0.2))
    assert fcm.ledger() == []
    assert (NotificationLog.objects.get().status, PushDelivery.objects.count()) == ("queued", 0)


def test_many_reminders_are_sent_each_exactly_once(fcm: FcmStandin, transport: FcmTransport) -> None:
    user = person("Ana").user
    device_of(user)
    for number in range(60):
        dose_due(user, timezone.now() - timedelta(seconds=60 - number), medicine=f"Medicine {number % 3}")
    queue.enqueue()
    assert run(transport).sent == 60
    ids = [message["data"]["notification_id"] for message in accepted(fcm)]
    assert len(ids) == len(set(ids)) == 60


def test_a_claim_inside_a_transaction_is_refused(fcm: FcmStandin, transport: FcmTransport) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="committed"):
        run(transport)


def test_without_firebase_settings_the_remedy_is_said(db: None) -> None:
    dispatcher.transport.cache_clear()
    settings = {"FIREBASE_PRIVATE_KEY": "", "GOOGLE_APPLICATION_CREDENTIALS": ""}
    with override_settings(**settings), pytest.raises(ImproperlyConfigured, match="FIREBASE_PROJECT_ID"):
        dispatcher.transport()


def test_a_push_that_cannot_be_written_does_not_hold_up_the_others(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_now("Ana")
    due_now("Ben")

    def picky(push: queue.Push, **kwargs: Any) -> Any:
        if "token-of-Ana" in push.devices.values():
            raise ValueError("not for me")
        return bodies(push, **kwargs)

    monkeypatch.setattr(dispatcher, "bodies", picky)
    run(transport)
    assert [message["token"] for message in accepted(fcm)] == ["token-of-Ben"]
    assert list(NotificationLog.objects.order_by("id").values_list("status", "reason")) == [
        ("dead", "UNSENDABLE"),
        ("accepted", ""),
    ]


def test_an_exception_on_the_way_does_not_haunt_the_next_batch(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_now()
    with monkeypatch.context() as patched:
        patched.setattr(FcmTransport, "_finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(transport)
    NotificationLog.objects.update(lease_until=timezone.now())
    assert run(transport).sent == 1


def test_what_expired_since_its_claim_is_not_handed_over(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_now()
    claim = queue.claim

    def claim_slowly(**kwargs: Any) -> queue.Claim:
        claimed = claim(**kwargs)
        for push in claimed.pushes:
            push.expires_at = push.claimed_at
        return claimed

    monkeypatch.setattr(queue, "claim", claim_slowly)
    dispatch(transport=transport, pace=pace(), time_slice=timedelta(seconds=0.2))
    assert fcm.ledger() == []
    assert NotificationLog.objects.get().reason == "TOO_LATE"


@pytest.mark.parametrize("doses", [1, 115])
def test_however_much_there_is_to_say_fcm_takes_it(
    fcm: FcmStandin, transport: FcmTransport, doses: int
) -> None:
    user = person("Ana", language="ko").user
    User.objects.update(private_push_text=False)
    device_of(user)
    due_at = timezone.now() - timedelta(seconds=1)
    for number in range(doses):
        dose_due(user, due_at, medicine=f"{number:03}" + "약" * 197)
    queue.enqueue()
    assert run(transport).sent == doses


@pytest.mark.parametrize(
    ("outcome", "attempts", "least", "most"),
    [
        (FcmResult(FcmResultKind.RETRY, pause=timedelta(seconds=10)), 1, 10, 11),
        (FcmResult(FcmResultKind.RETRY, pause=timedelta(seconds=10)), 3, 40, 44),
        (FcmResult(FcmResultKind.RETRY, pause=timedelta(seconds=10)), 99, 600, 660),
        (FcmResult(FcmResultKind.RETRY, retry_after=timedelta(seconds=900)), 4, 900, 990),
        (FcmResult(FcmResultKind.RETRY, retry_after=timedelta(days=1)), 99, 86_400, 95_040),
        (FcmResult(FcmResultKind.UNSENT, pause=timedelta(seconds=1)), 50, 1, 1.1),
    ],
)
def test_what_fcm_asks_for_is_kept_and_our_own_pause_doubles(
    outcome: FcmResult, attempts: int, least: float, most: float
) -> None:
    assert least <= dispatcher._wait(outcome, attempts).total_seconds() <= most


def transport_of(fcm: FcmStandin, project: str) -> FcmTransport:
    credential = credentials.Certificate(fcm.service_account)
    return FcmTransport(credential, project_id=project, endpoint=fcm.url, ca_file=str(fcm.certificate_file))


def test_a_project_that_refuses_nearly_everyone_is_sent_to_at_a_trickle_until_it_accepts(
    fcm: FcmStandin, transport: FcmTransport
) -> None:
    for number in range(USERS * 3):
        due_now(f"person-{number}")
    shared = pace()
    wrong = transport_of(fcm, "another")
    dispatch(transport=wrong, pace=shared, time_slice=timedelta(seconds=1))
    assert shared.is_trickling()
    assert DeviceToken.objects.filter(revoked_at=None).count() == USERS * 3
    assert set(NotificationLog.objects.values_list("status", flat=True)) == {"queued"}
    # The key is mended: by trickle at first, and at full pace once enough people were accepted.
    hurry()
    dispatch(transport=transport, pace=shared, time_slice=timedelta(seconds=20))
    hurry()
    dispatch(transport=transport, pace=shared, time_slice=timedelta(seconds=20))
    assert not shared.is_trickling()
    assert len(accepted(fcm)) == USERS * 3


def test_what_the_pace_does_not_let_through_goes_back_before_its_lease_ends(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would count as a push that outran its lease."""
    for number in range(5):
        due_now(f"person-{number}")
    shared = pace()
    monkeypatch.setattr("notifications.dispatcher.LEASE", timedelta(seconds=transport.timeout + 1))
    monkeypatch.setattr(shared, "take", lambda wanted: 0)
    dispatch(transport=transport, pace=shared, time_slice=timedelta(seconds=0.2))
    rows = NotificationLog.objects.values_list("status", "reason", "lease_token")
    assert set(rows) == {("queued", "TOO_LATE", None)}
    assert fcm.ledger() == []
