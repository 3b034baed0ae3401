"""What several phones, dispatchers and leases do to one push at the same time."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from dosing.actions.doses import take_dose
from medtrack.development.fcm.process import FcmStandin
from medtrack.tests.support.builders import PASSWORD, device_of, dose_due, person, session_of
from medtrack.tests.support.elapsed_time import move_into_past
from notifications import dispatcher, queue
from notifications.judgement import MISMATCH, Judge
from notifications.models import NotificationLog
from notifications.queue import PushResult
from notifications.tests.test_dispatcher import due_now, pace
from notifications.tests.test_judgement import ACCEPTED, answer, claim, due, people
from notifications.transports.fcm import FcmTransport
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import log_in


def test_each_phone_is_told_when_one_dose_was_answered_on_each(db: None) -> None:
    user = person("Ana").user
    first, one = session_of(user), device_of(user, "phone-1")
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    second, other = session_of(user), device_of(user, "phone-2")
    at = timezone.now() - timedelta(seconds=1)
    doses = dose_due(user, at), dose_due(user, at, medicine="Aspirin")
    queue.enqueue()
    answer(claim(), {"Ana": ACCEPTED})
    for dose, session in zip(doses, (first, second), strict=True):
        take_dose(dose_id=dose.id, by=user, now=timezone.now(), session=session)
    queue.enqueue()
    withdrawn = {device_id for push in claim().pushes for device_id in push.devices}
    assert withdrawn == {str(one.id), str(other.id)}


def test_of_two_leases_of_one_push_in_one_mark_the_later_counts(db: None) -> None:
    people("Ana")
    due("Ana")
    (old,) = claim().pushes
    move_into_past(1)
    (new,) = claim().pushes
    results = [PushResult(push, dict.fromkeys(push.devices, ACCEPTED), None) for push in (new, old)]
    assert queue.mark(results).lost == 1
    assert NotificationLog.objects.get().status == "accepted"


@pytest.mark.django_db(transaction=True)
def test_a_dispatcher_that_was_paused_past_its_lease_goes_on(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_now("Ana")
    due_now("Ben")
    fcm.set_latency(0.1)
    real, claims = queue.claim, []

    def claim_late(**options: Any) -> queue.Claim:
        claims.append(1)
        if len(claims) == 2:  # as if the lease of the first claim had passed
            NotificationLog.objects.filter(user__name="Ana").update(lease_until=timezone.now())
        return real(**options)

    monkeypatch.setattr(queue, "claim", claim_late)
    dispatcher.dispatch(transport=transport, pace=pace(), time_slice=timedelta(seconds=5))
    assert NotificationLog.objects.filter(status="accepted").count() == 2


@pytest.mark.django_db(transaction=True)
def test_what_is_settled_again_was_not_lost(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_now()
    real, failures = Judge.settle, [OperationalError("deadlock detected")]

    def settle(judge: Judge, results: Any) -> None:
        if failures:
            raise failures.pop()
        real(judge, results)

    monkeypatch.setattr(Judge, "settle", settle)
    tally = dispatcher.dispatch(transport=transport, pace=pace(), time_slice=timedelta(seconds=5))
    assert (tally.sent, tally.lost) == (1, 0)


def test_a_suspect_phone_does_not_hold_back_the_retry_of_a_good_one() -> None:
    busy = FcmResult(FcmResultKind.RETRY, "UNAVAILABLE", pause=timedelta(seconds=10))
    suspect = FcmResult(FcmResultKind.SUSPECT, MISMATCH, pause=timedelta(seconds=60))
    flight: Any = SimpleNamespace(push=SimpleNamespace(attempts=1), outcomes={"good": busy, "old": suspect})
    retry_after = dispatcher._result(flight).retry_after
    assert retry_after is not None
    assert retry_after <= timedelta(seconds=11)
