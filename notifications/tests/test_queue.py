"""Which reminders are enqueued, claimed and marked, and what becomes of them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from dosing.actions.doses import take_dose
from dosing.models import DoseLog, Schedule
from medications.models import Medication
from medtrack.tests.support.builders import (
    PASSWORD,
    device_of,
    dose_due,
    person,
    push_a_test,
    session_of,
)
from medtrack.tests.support.elapsed_time import move_into_past
from medtrack.tests.support.workers import closing, in_another_worker
from notifications import queue
from notifications.judgement import Judge
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.queue import MAX_DEVICES_OF_PUSH, PushResult, Turn
from notifications.tests.claims import (
    ACCEPTED,
    BUSY,
    GONE,
    LEASE,
    MINUTE,
    answer,
    answer_first_of_two,
    claim,
    moment_ago,
    reminder,
)
from users.actions import Credentials, log_in, log_out
from users.models import User


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    """Due a second ago, with a phone to say so."""
    device_of(ana.user)
    return dose_due(ana.user, moment_ago())


def test_a_due_dose_becomes_one_reminder_however_often_it_is_enqueued(dose: DoseLog) -> None:
    assert [queue.enqueue(), queue.enqueue()] == [1, 0]
    row = reminder()
    assert (row.dose_id, row.kind, row.status, row.send_at) == (dose.id, "due", "queued", dose.due_at)
    assert row.expires_at - row.send_at == timedelta(minutes=30)
    assert row.tag == row.id


@pytest.mark.parametrize(
    ("offset", "enqueued"),
    [
        (timedelta(minutes=1, seconds=50), 1),
        (timedelta(minutes=3), 0),
        (timedelta(minutes=-29), 1),
        (timedelta(hours=-5), 0),
    ],
)
def test_only_doses_of_the_next_minutes_or_still_useful_are_enqueued(
    ana: Credentials, offset: timedelta, enqueued: int
) -> None:
    dose_due(ana.user, timezone.now() + offset)
    assert queue.enqueue() == enqueued


def test_a_dose_whose_time_went_by_while_nothing_ran_says_why_nothing_came(ana: Credentials) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now() - timedelta(minutes=31))
    queue.enqueue()
    queue.enqueue_follow_ups()
    rows = NotificationLog.objects.order_by("step").values_list("kind", "status", "reason")
    # The follow-up still helps: the dose can be answered for hours.
    assert list(rows) == [("due", "moot", "expired"), ("follow_up", "queued", "")]


def test_a_schedule_without_reminders_and_an_answered_dose_are_not_enqueued(ana: Credentials) -> None:
    dose_due(ana.user, moment_ago(), reminder_enabled=False)
    answered = dose_due(ana.user, moment_ago(), medicine="Aspirin")
    take_dose(dose_id=answered.id, by=ana.user, now=timezone.now())
    assert queue.enqueue() == 0


def test_a_reminder_is_not_claimed_before_its_time(ana: Credentials) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now() + timedelta(seconds=60))
    queue.enqueue()
    assert claim().examined == 0


def test_a_claim_says_all_that_a_message_needs(ana: Credentials, dose: DoseLog) -> None:
    queue.enqueue()
    (push,) = claim().pushes
    assert push.notification_ids == [str(reminder().id)]
    assert push.dose_ids == [str(dose.id)]
    assert push.medicines == ["Metformin"]
    assert list(push.devices.values()) == ["token-of-Ana"]
    assert (push.kind, push.language, push.is_private, push.attempts) == ("due", "en", True, 1)


def test_doses_of_one_minute_are_one_push_and_those_of_another_person_are_not(
    ana: Credentials, ben: Credentials
) -> None:
    due_at = moment_ago()
    for credentials in (ana, ben):
        device_of(credentials.user)
        for medicine in ("Metformin", "Aspirin"):
            dose_due(credentials.user, due_at, medicine=medicine)
    queue.enqueue()
    claimed = claim()
    assert claimed.examined == 4
    assert sorted(len(push.dose_ids) for push in claimed.pushes) == [2, 2]
    assert len({push.tag for push in claimed.pushes}) == 2


def test_a_limited_claim_never_splits_a_push(ana: Credentials) -> None:
    device_of(ana.user)
    due_at = moment_ago()
    for medicine in ("Metformin", "Aspirin", "Insulin"):
        dose_due(ana.user, due_at, medicine=medicine)
    queue.enqueue()
    claimed = claim(limit=1)
    assert [len(push.dose_ids) for push in claimed.pushes] == [3]
    assert claim().examined == 0


def test_what_is_leased_is_not_claimed_again_until_the_lease_ran_out(dose: DoseLog) -> None:
    queue.enqueue()
    assert claim().examined == 1
    assert claim().examined == 0
    NotificationLog.objects.update(lease_until=moment_ago())
    (push,) = claim().pushes
    assert push.attempts == 2


def test_a_lost_lease_records_nothing(dose: DoseLog) -> None:
    queue.enqueue()
    slow = claim()
    NotificationLog.objects.update(lease_until=moment_ago())
    fast = claim()
    assert answer(slow, ACCEPTED).lost == 1
    assert (reminder().status, PushDelivery.objects.count()) == ("queued", 0)
    assert answer(fast, ACCEPTED).lost == 0
    assert (reminder().status, PushDelivery.objects.count()) == ("accepted", 1)


def test_an_accepted_push_is_final(dose: DoseLog) -> None:
    queue.enqueue()
    marked = answer(claimed := claim(), ACCEPTED)
    assert marked.slowest is not None
    assert marked.slowest >= timedelta(seconds=1)
    assert answer(claimed, GONE).lost == 1
    row = reminder()
    assert (row.status, row.attempts, row.lease_token, row.sent_at is not None) == ("accepted", 1, None, True)
    delivery = PushDelivery.objects.get()
    assert (delivery.outcome, delivery.message_id, delivery.attempts) == (
        "accepted",
        "projects/p/messages/1",
        1,
    )
    assert claim().examined == 0


def test_a_busy_fcm_is_asked_again_later_and_only_for_the_devices_that_wait(
    ana: Credentials, dose: DoseLog
) -> None:
    push = answer_first_of_two(ana.user, retry_after=timedelta(seconds=10))
    _first, second = push.devices
    assert (reminder().status, reminder().sent_at is not None) == ("queued", True)
    assert claim().examined == 0
    NotificationLog.objects.update(retry_at=moment_ago())
    (again,) = (retried := claim()).pushes
    assert list(again.devices) == [second]
    assert again.tag == push.tag
    answer(retried, ACCEPTED)
    assert reminder().status == "accepted"
    assert PushDelivery.objects.get(device_id=UUID(second)).attempts == 2


def test_a_dead_push_says_why(dose: DoseLog) -> None:
    queue.enqueue()
    claimed = claim()
    answer(claimed, GONE)
    results = [PushResult(push, dict.fromkeys(push.devices, GONE), None) for push in claimed.pushes]
    Judge("a-project").settle(results)
    assert (reminder().status, reminder().reason) == ("dead", "UNREGISTERED")
    device = DeviceToken.objects.get()
    assert (device.revoked_at is not None, device.revoke_reason) == (True, "UNREGISTERED")


def test_a_token_that_registered_again_since_the_claim_is_not_revoked(
    ana: Credentials, dose: DoseLog
) -> None:
    queue.enqueue()
    claimed = claim()
    device_of(ana.user, now=timezone.now() + timedelta(seconds=1))
    results = [PushResult(push, dict.fromkeys(push.devices, GONE), None) for push in claimed.pushes]
    Judge("a-project").settle(results)
    assert DeviceToken.objects.get().revoked_at is None


OBSTACLES: dict[str, Any] = {
    "answered": lambda: take_dose(
        dose_id=DoseLog.objects.get().id, by=User.objects.get(name="Ana"), now=timezone.now()
    ),
    "missed": lambda: DoseLog.objects.update(status="missed"),
    "dose_removed": lambda: DoseLog.objects.all().delete(),
    "medication_ended": lambda: Medication.objects.update(deleted_at=timezone.now()),
    "dose_withdrawn": lambda: DoseLog.objects.update(withdrawn_at=timezone.now(), answer_by=None),
    "dose_moved": lambda: DoseLog.objects.update(due_at=F("due_at") + timedelta(hours=1)),
    "medication_paused": lambda: Medication.objects.update(paused_at=timezone.now()),
    "schedule_ended": lambda: Schedule.objects.update(is_active=False),
    "reminder_disabled": lambda: Schedule.objects.update(reminder_enabled=False),
    "user_inactive": lambda: User.objects.update(is_active=False),
    "expired": lambda: NotificationLog.objects.update(
        send_at=F("send_at") - timedelta(hours=1), expires_at=F("expires_at") - timedelta(hours=1)
    ),
    "no_device": lambda: DeviceToken.objects.update(
        revoked_at=timezone.now(), revoke_reason="removed_by_owner"
    ),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_is_no_longer_wanted_is_moot_with_its_reason_and_not_sent(dose: DoseLog, obstacle: str) -> None:
    queue.enqueue()
    OBSTACLES[obstacle]()
    claimed = claim()
    assert (claimed.examined, claimed.pushes) == (1, [])
    assert (reminder().status, reminder().reason, reminder().lease_token) == ("moot", obstacle, None)


def test_a_phone_that_signed_out_gets_nothing_and_the_other_one_does(ana: Credentials, dose: DoseLog) -> None:
    signed_out = session_of(ana.user)
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    other = device_of(ana.user, "second-phone")
    queue.enqueue()
    log_out(session_id=signed_out.id, now=timezone.now())
    (push,) = claim().pushes
    assert list(push.devices) == [str(other.id)]


def test_nothing_is_sent_when_every_phone_has_signed_out(ana: Credentials, dose: DoseLog) -> None:
    queue.enqueue()
    log_out(session_id=session_of(ana.user).id, now=timezone.now())
    assert claim().pushes == []
    assert reminder().reason == "no_device"


def test_a_dose_answered_after_one_of_two_phones_got_it_is_not_sent_to_the_other(
    ana: Credentials, dose: DoseLog
) -> None:
    device_of(ana.user, "second-phone")
    queue.enqueue()
    (push,) = claim().pushes
    first, second = push.devices
    queue.mark([PushResult(push, {first: ACCEPTED, second: BUSY}, timedelta(0))])
    take_dose(dose_id=dose.id, by=ana.user, now=timezone.now())
    assert claim().pushes == []
    assert (reminder().status, reminder().reason) == ("accepted", "answered")


def test_the_rest_of_a_push_goes_out_when_one_of_its_doses_is_answered(ana: Credentials) -> None:
    device_of(ana.user)
    due_at = moment_ago()
    taken, open_ = (dose_due(ana.user, due_at, medicine=name) for name in ("Metformin", "Aspirin"))
    queue.enqueue()
    take_dose(dose_id=taken.id, by=ana.user, now=timezone.now())
    (push,) = claim().pushes
    assert push.dose_ids == [str(open_.id)]
    assert NotificationLog.objects.get(dose=taken).reason == "answered"


def test_test_pushes_have_a_turn_of_their_own_after_the_doses(ana: Credentials, dose: DoseLog) -> None:
    push_a_test(DeviceToken.objects.get(), now=moment_ago(2))
    queue.enqueue()
    assert [push.kind for push in claim().pushes] == ["due"]
    assert claim().examined == 0
    assert [push.kind for push in claim(turn=Turn.TESTS).pushes] == ["test"]


def test_a_push_goes_to_no_more_devices_than_an_account_has_those_seen_last(
    ana: Credentials, dose: DoseLog
) -> None:
    session, now = session_of(ana.user), timezone.now()
    DeviceToken.objects.bulk_create(
        DeviceToken(
            user=ana.user, session=session, token=f"phone-{n}", platform="ios", last_seen_at=now + n * MINUTE
        )
        for n in range(1, MAX_DEVICES_OF_PUSH + 5)
    )
    queue.enqueue()
    (push,) = claim().pushes
    assert sorted(push.devices.values()) == sorted(f"phone-{n}" for n in range(5, MAX_DEVICES_OF_PUSH + 5))


def test_devices_are_those_of_the_push_also_when_its_first_dose_was_answered(ana: Credentials) -> None:
    device_of(ana.user)
    due_at = moment_ago()
    for medicine in ("Metformin", "Aspirin"):
        dose_due(ana.user, due_at, medicine=medicine)
    queue.enqueue()
    first = NotificationLog.objects.order_by("id").first()
    assert first is not None
    assert first.dose_id is not None
    take_dose(dose_id=first.dose_id, by=ana.user, now=timezone.now())
    (push,) = claim().pushes
    assert (len(push.dose_ids), list(push.devices.values())) == (1, ["token-of-Ana"])


def outrun() -> None:
    """The lease runs its full time and nothing is marked."""
    move_into_past(LEASE.total_seconds() / 60)


def test_a_push_that_outran_its_lease_twice_goes_alone_and_once_more_is_dead(dose: DoseLog) -> None:
    queue.enqueue()
    for _ in range(2):
        assert len(claim().pushes) == 1
        outrun()
    assert claim().examined == 0, "no batch takes it any more"
    assert len(claim(limit=1, turn=Turn.ALONE).pushes) == 1
    outrun()
    assert claim().examined == 0
    assert claim(limit=1, turn=Turn.ALONE).pushes == []
    assert (reminder().status, reminder().reason) == ("dead", "outran_its_lease")


def test_a_push_that_goes_alone_may_still_arrive(dose: DoseLog) -> None:
    queue.enqueue()
    for _ in range(2):
        claim()
        outrun()
    answer(claim(limit=1, turn=Turn.ALONE), ACCEPTED)
    assert (reminder().status, reminder().outrun) == ("accepted", 2)


def test_a_lease_that_ended_early_or_was_marked_was_not_outrun(dose: DoseLog) -> None:
    queue.enqueue()
    claim()
    NotificationLog.objects.update(lease_until=timezone.now())
    claimed = claim()
    assert len(claimed.pushes) == 1
    answer(claimed, BUSY, retry_after=timedelta(seconds=1))
    move_into_past(1)
    assert len(claim().pushes) == 1
    assert reminder().outrun == 0


@pytest.mark.django_db(transaction=True)
def test_many_may_enqueue_at_once() -> None:
    for name in ("Ana", "Ben", "Cleo"):
        user = person(name).user
        for number in range(5):
            dose_due(user, moment_ago(), medicine=f"Medicine {number}")
    with ThreadPoolExecutor(4) as pool:
        for _ in range(8):
            NotificationLog.objects.all().delete()
            assert sum(pool.map(closing(lambda _: queue.enqueue()), range(4))) == 15


def people_with_two_doses(*names: str) -> None:
    for name in names:
        user = person(name).user
        device_of(user)
        due_at = moment_ago()
        for medicine in ("Metformin", "Aspirin"):
            dose_due(user, due_at, medicine=medicine)
    queue.enqueue()


@pytest.mark.django_db(transaction=True)
def test_two_claims_at_once_share_the_pushes_and_wait_for_nothing() -> None:
    people_with_two_doses("Ana", "Ben")
    with transaction.atomic():
        mine = claim(limit=1).pushes
        others = in_another_worker(lambda: claim().pushes)
    assert [len(push.dose_ids) for push in (*mine, *others)] == [2, 2]
    assert mine[0].tag != others[0].tag


@pytest.mark.django_db(transaction=True)
def test_whoever_has_the_first_reminder_of_a_push_has_all_of_them() -> None:
    people_with_two_doses("Ana")
    with transaction.atomic():
        # Another claim in the middle of its statement: it holds the first row and not yet the second.
        NotificationLog.objects.select_for_update(no_key=True).earliest("id")
        assert in_another_worker(lambda: claim().examined) == 0
    assert [len(push.dose_ids) for push in claim().pushes] == [2]
