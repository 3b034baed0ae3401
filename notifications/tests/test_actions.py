from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.utils import timezone

from dosing.actions.doses import take_dose
from dosing.models import DoseLog
from medtrack.database.clock import database_now
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import (
    PASSWORD,
    claim_all,
    device_of,
    dose_due,
    person,
    push_a_test,
    revoked,
    session_of,
    utc,
)
from medtrack.tests.support.workers import closing, in_another_worker, wait_until_a_lock_is_waited_for
from notifications import queue
from notifications.actions import MAX_TESTS, TEST_LIFETIME
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.queue import PushResult
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials, log_in

ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")
BUSY = FcmResult(FcmResultKind.RETRY, "UNAVAILABLE")
ACKS = ("arrived_at", "shown_at", "opened_at")
NOON = utc(2030, 1, 1, 12)


def claim() -> queue.Claim:
    return claim_all()


def send(outcome: FcmResult = ACCEPTED, *, retry_after: timedelta | None = None) -> queue.Push:
    (push,) = claim().pushes
    queue.mark([PushResult(push, dict.fromkeys(push.devices, outcome), retry_after)])
    return push


@pytest.fixture
def pushed(ana: Credentials) -> UUID:
    """The `notification_id` of a push of two doses to Ana's phone."""
    device_of(ana.user)
    due_at = timezone.now() - timedelta(seconds=1)
    for medicine in ("Metformin", "Aspirin"):
        dose_due(ana.user, due_at, medicine=medicine)
    queue.enqueue()
    return UUID(send().notification_ids[0])


def ack(client: Client, notification_id: object, state: str = "opened", **fields: Any) -> Any:
    return client.post(
        f"/api/v1/notifications/{notification_id}/ack", {"state": state, **fields}, format="json"
    )


def z(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


# Registering


def test_a_phone_is_owned_since_it_was_first_registered(ana: Credentials) -> None:
    assert device_of(ana.user, now=NOON).owned_since == NOON
    again = device_of(ana.user, now=NOON + timedelta(days=1))
    assert (again.owned_since, again.last_seen_at) == (NOON, NOON + timedelta(days=1))


def test_a_phone_that_changes_hands_is_owned_since_then(ana: Credentials, cleo: Credentials) -> None:
    first = device_of(ana.user, "phone", now=NOON)
    second = device_of(cleo.user, "phone", now=NOON + timedelta(days=1))
    second.refresh_from_db()
    assert (second.id, second.user_id) == (first.id, cleo.user.id)
    assert second.owned_since == NOON + timedelta(days=1)


def test_a_phone_that_registers_again_is_not_silent(ana: Credentials) -> None:
    DeviceToken.objects.filter(id=device_of(ana.user).id).update(silent_since=NOON)
    device_of(ana.user)
    assert DeviceToken.objects.get().silent_since is None


@pytest.mark.django_db(transaction=True)
def test_whoever_registers_a_phone_that_is_just_changing_hands_sees_its_new_owner() -> None:
    ana, cleo = person("Ana").user, person("Cleo").user
    device_of(ana, "phone", now=NOON)
    hours = [NOON + timedelta(hours=hour) for hour in (1, 2)]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            device_of(cleo, "phone", now=hours[0])
            again = pool.submit(closing(lambda: device_of(cleo, "phone", now=hours[1])))
            wait_until_a_lock_is_waited_for()
        again.result()
    device = DeviceToken.objects.get()
    assert (device.owned_since, device.last_seen_at) == (hours[0], hours[1])


def by_a_clock_that_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: database_now() + timedelta(minutes=5))


def test_removing_a_device_and_signing_out_are_told_by_the_databases_clock(
    ana: Credentials, as_ana: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = device_of(ana.user)
    by_a_clock_that_is_ahead(monkeypatch)
    assert as_ana.delete(f"/api/v1/devices/{device.id}").status_code == 204
    assert as_ana.post("/api/v1/auth/logout").status_code == 204
    device.refresh_from_db()
    revoked_at = session_of(ana.user).revoked_at
    assert device.revoked_at is not None
    assert revoked_at is not None
    assert max(device.revoked_at, revoked_at) <= database_now()


# Acknowledging


def test_an_acknowledgement_counts_for_all_doses_of_the_push(as_ana: Client, pushed: UUID) -> None:
    answer = ack(as_ana, pushed, "arrived")
    assert answer.status_code == 200
    said = answer.json()
    assert (said["notification_id"], said["shown_at"], said["opened_at"]) == (str(pushed), None, None)
    deliveries = PushDelivery.objects.values_list(*ACKS)
    assert [(z(arrived), shown, opened) for arrived, shown, opened in deliveries] == [
        (said["arrived_at"], None, None)
    ] * 2


def test_what_was_opened_was_shown_and_arrived_and_the_first_word_counts(
    as_ana: Client, pushed: UUID
) -> None:
    arrived = ack(as_ana, pushed, "arrived").json()
    opened = ack(as_ana, pushed, "opened").json()
    assert opened["arrived_at"] == arrived["arrived_at"]
    assert opened["shown_at"] == opened["opened_at"] is not None
    assert opened["opened_at"] > opened["arrived_at"]
    for state in ("arrived", "shown", "opened"):
        assert ack(as_ana, pushed, state).json() == opened


def test_any_reminder_of_the_push_names_it(as_ana: Client, pushed: UUID) -> None:
    other = NotificationLog.objects.exclude(id=pushed).get()
    assert ack(as_ana, other.id).status_code == 200
    assert PushDelivery.objects.filter(opened_at__isnull=False).count() == 2


def test_a_phones_clock_is_believed_within_reason(as_ana: Client, pushed: UUID) -> None:
    sent_at = database_now() - timedelta(minutes=10)
    PushDelivery.objects.update(claimed_at=sent_at)
    at = sent_at + timedelta(minutes=3)
    assert ack(as_ana, pushed, "arrived", occurred_at=z(at)).json()["arrived_at"] == z(at)
    before = ack(as_ana, pushed, "shown", occurred_at="2001-01-01T00:00:00Z").json()
    assert before["shown_at"] == z(sent_at)
    ahead = database_now() + timedelta(minutes=4)
    assert ack(as_ana, pushed, "opened", occurred_at=z(ahead)).json()["opened_at"] <= z(database_now())


def test_an_acknowledgement_from_the_future_is_refused(as_ana: Client, pushed: UUID) -> None:
    answer = ack(as_ana, pushed, "arrived", occurred_at=z(database_now() + timedelta(minutes=6)))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "occurred_at")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "state"),
        ({"state": "eaten"}, "state"),
        ({"state": None}, "state"),
        ({"state": ["opened"]}, "state"),
        ({"state": "shown", "occurred_at": "noon"}, "occurred_at"),
        ({"state": "shown", "occurred_at": "2026-11-20T08:00:00"}, "occurred_at"),
    ],
)
def test_an_acknowledgement_that_makes_no_sense_is_refused_by_field(
    as_ana: Client, pushed: UUID, body: dict[str, Any], field: str
) -> None:
    answer = as_ana.post(f"/api/v1/notifications/{pushed}/ack", body, format="json")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_strangers_and_nobody_acknowledge_nothing(
    as_ana: Client, as_cleo: Client, as_nobody: Client, cleo: Credentials, pushed: UUID
) -> None:
    device_of(cleo.user)
    assert ack(as_cleo, pushed).status_code == 404
    assert ack(as_nobody, pushed).status_code == 401
    assert ack(as_ana, uuid4()).status_code == 404
    assert not PushDelivery.objects.filter(arrived_at__isnull=False).exists()


def test_whoever_took_the_phone_over_does_not_acknowledge_for_the_one_before(
    as_ana: Client, as_cleo: Client, cleo: Credentials, pushed: UUID
) -> None:
    device_of(cleo.user, "token-of-Ana")
    assert [ack(client, pushed).status_code for client in (as_ana, as_cleo)] == [404, 404]


def test_each_phone_speaks_for_itself(ana: Credentials, as_ana: Client, pushed: UUID) -> None:
    second = log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    device_of(ana.user, "second-phone")
    assert ack(Client(second), pushed).status_code == 404
    assert ack(as_ana, pushed).status_code == 200


def test_a_phone_that_is_faster_than_our_records_is_asked_to_come_again(
    ana: Credentials, as_ana: Client
) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()
    reminder = NotificationLog.objects.get()
    assert ack(as_ana, reminder.id).status_code == 404
    (push,) = claim().pushes
    answer = ack(as_ana, reminder.id)
    assert (answer.status_code, answer.json()["type"]) == (409, "NotSentYet")
    queue.mark([PushResult(push, dict.fromkeys(push.devices, ACCEPTED), None)])
    assert ack(as_ana, reminder.id).status_code == 200


def test_what_never_left_is_not_acknowledged(ana: Credentials, as_ana: Client) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()
    take_dose(dose_id=DoseLog.objects.get().id, by=ana.user, now=timezone.now())
    claim()
    assert ack(as_ana, NotificationLog.objects.get().id).status_code == 404


def test_a_push_whose_answer_was_lost_arrived_all_the_same(ana: Credentials, as_ana: Client) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()
    push = send(BUSY, retry_after=timedelta(seconds=10))
    assert ack(as_ana, push.notification_ids[0]).json()["opened_at"] is not None


def test_a_phone_that_acknowledges_is_not_silent_and_the_others_still_are(
    ana: Credentials, as_ana: Client, pushed: UUID
) -> None:
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    device_of(ana.user, "second-phone")
    DeviceToken.objects.update(silent_since=NOON)
    ack(as_ana, pushed)
    silent = DeviceToken.objects.values_list("token", "silent_since").order_by("token")
    assert list(silent) == [("second-phone", NOON), ("token-of-Ana", None)]


# Test pushes


def request_test(client: Client, device: DeviceToken) -> Any:
    return client.post(f"/api/v1/devices/{device.id}/test")


def test_a_test_push_goes_to_this_device_alone(ana: Credentials, as_ana: Client) -> None:
    device = device_of(ana.user)
    device_of(ana.user, "second-phone")
    answer = request_test(as_ana, device)
    assert answer.status_code == 202
    row = NotificationLog.objects.get()
    assert answer.json() == {
        "id": str(row.id),
        "kind": "test",
        "status": "queued",
        "send_at": z(row.send_at),
        "expires_at": z(row.send_at + TEST_LIFETIME),
    }
    push = send()
    assert (push.kind, list(push.devices), push.notification_ids) == ("test", [str(device.id)], [str(row.id)])
    assert ack(as_ana, row.id).status_code == 200


def removed(device: DeviceToken) -> None:
    revoked(device, now=database_now())


def signed_out(device: DeviceToken) -> None:
    assert device.session is not None
    device.session.revoked_at = database_now()
    device.session.save()


@pytest.mark.parametrize("loss", [removed, signed_out])
def test_a_device_that_receives_nothing_is_not_tested(
    ana: Credentials, loss: Callable[[DeviceToken], None]
) -> None:
    device = device_of(ana.user)
    client = Client(log_in(email="ana@example.com", password=PASSWORD, now=timezone.now()))
    loss(device)
    answer = request_test(client, device)
    assert (answer.status_code, answer.json()["type"]) == (409, "DeviceRevoked")
    assert not NotificationLog.objects.exists()


def test_a_device_gets_five_test_pushes_an_hour(ana: Credentials, as_ana: Client) -> None:
    device, other = device_of(ana.user), device_of(ana.user, "second-phone")
    now = database_now()
    for minutes in range(MAX_TESTS):
        push_a_test(device, now=now - timedelta(minutes=50 - minutes))
    answer = request_test(as_ana, device)
    assert (answer.status_code, answer.json()["type"]) == (429, "TooManyTests")
    assert 500 < int(answer["Retry-After"]) <= 600
    assert request_test(as_ana, other).status_code == 202
    NotificationLog.objects.filter(send_at__lt=now - timedelta(minutes=49, seconds=30)).delete()
    assert request_test(as_ana, device).status_code == 202


def test_strangers_and_nobody_test_no_device(ana: Credentials, as_cleo: Client, as_nobody: Client) -> None:
    device = device_of(ana.user)
    assert request_test(as_cleo, device).status_code == 404
    assert request_test(as_nobody, device).status_code == 401
    assert not NotificationLog.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_tests_at_once_take_turns() -> None:
    device = device_of(person("Ana").user)
    with transaction.atomic():
        push_a_test(device, now=database_now())
        with pytest.raises(Exception, match="lock timeout"):
            in_another_worker(lambda: push_a_test(device, now=database_now()))
