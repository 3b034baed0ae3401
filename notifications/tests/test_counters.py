"""What the engine counts for Prometheus: each thing once, in the transaction in which it happens."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from dosing.actions.doses import take_dose
from medtrack.tests.support.builders import device_of, dose_due
from notifications import queue
from notifications.counters import BOUNDS, read_counters
from notifications.models import NotificationLog
from notifications.queue import PushResult
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials

LEASE = timedelta(seconds=25)
ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")
DEAD = FcmResult(FcmResultKind.DEAD, "INVALID_ARGUMENT")
RETRY = FcmResult(FcmResultKind.RETRY, "UNAVAILABLE", pause=timedelta(minutes=10))


def due(person: Credentials, *, seconds: float = 1, **fields: Any) -> Any:
    dose = dose_due(person.user, timezone.now() - timedelta(seconds=seconds), **fields)
    queue.enqueue()
    return dose


def claim_and_answer(*outcomes: FcmResult, retry_after: timedelta | None = None) -> list[PushResult]:
    results = [
        PushResult(push, dict(zip(sorted(push.devices), outcomes, strict=True)), retry_after)
        for push in queue.claim(limit=10, lease=LEASE).pushes
    ]
    queue.mark(results)
    return results


def test_a_reminder_is_counted_in_the_bucket_of_its_lateness(ana: Credentials) -> None:
    device_of(ana.user)
    due(ana, seconds=45)
    claim_and_answer(ACCEPTED)
    counters = read_counters()
    expected = [0.0] * (len(BOUNDS) + 1)
    expected[BOUNDS.index(60.0)] = 1
    assert counters.lateness == expected
    assert 45 <= counters.lateness_sum < 60
    assert counters.deliveries == {("accepted", ""): 1}


def test_what_is_later_than_all_buckets_is_counted_above_them(ana: Credentials) -> None:
    device_of(ana.user)
    due(ana, seconds=60)
    NotificationLog.objects.update(send_at=timezone.now() - timedelta(hours=1))
    claim_and_answer(ACCEPTED)
    assert read_counters().lateness[-1] == 1


def test_a_reminder_is_late_once_however_many_phones_take_it_when(ana: Credentials) -> None:
    device_of(ana.user, "phone-1")
    device_of(ana.user, "phone-2")
    due(ana)
    claim_and_answer(ACCEPTED, RETRY, retry_after=timedelta(minutes=10))
    NotificationLog.objects.update(retry_at=timezone.now())
    claim_and_answer(ACCEPTED)
    counters = read_counters()
    assert sum(counters.lateness) == 1
    assert counters.deliveries == {("accepted", ""): 2, ("retry", "UNAVAILABLE"): 1}


def test_answers_are_counted_by_outcome_and_error_code(ana: Credentials, cleo: Credentials) -> None:
    for person in (ana, cleo):
        device_of(person.user)
        due(person)
    claim_and_answer(DEAD)
    counters = read_counters()
    assert counters.deliveries == {("dead", "INVALID_ARGUMENT"): 2}
    assert sum(counters.lateness) == 0


def test_an_answer_after_the_lease_was_lost_is_not_counted(ana: Credentials) -> None:
    device_of(ana.user)
    due(ana)
    (push,) = queue.claim(limit=10, lease=timedelta(seconds=-1)).pushes
    queue.claim(limit=10, lease=LEASE)
    queue.mark([PushResult(push, dict.fromkeys(push.devices, ACCEPTED), None)])
    assert read_counters().deliveries == {}


def test_reminders_without_a_phone_are_counted_as_moot(ana: Credentials) -> None:
    due(ana)
    queue.claim(limit=10, lease=LEASE)
    queue.claim(limit=10, lease=LEASE)
    assert read_counters().moot == {"no_device": 1}


def test_what_expired_before_it_was_enqueued_is_counted_as_moot(ana: Credentials) -> None:
    due(ana, seconds=3600)
    queue.enqueue()
    assert read_counters().moot == {"expired": 1}


def test_what_was_tried_before_it_was_answered_is_not_moot(ana: Credentials) -> None:
    device_of(ana.user)
    dose = due(ana)
    claim_and_answer(RETRY, retry_after=timedelta(minutes=10))
    NotificationLog.objects.update(retry_at=timezone.now())
    take_dose(dose_id=dose.id, by=ana.user, now=timezone.now())
    queue.claim(limit=10, lease=LEASE)
    assert NotificationLog.objects.get().status == "dead"
    assert read_counters().moot == {}
