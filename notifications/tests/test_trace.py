"""Every way in which no reminder comes, walked on the real queue, and what the trace says of each."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from dosing.actions.doses import skip_dose, undo_dose
from dosing.actions.intakes import log_intake
from dosing.actions.schedules import pause_medication, resume_medication, update_schedule
from dosing.models import DoseLog, Schedule
from dosing.settling import settle
from medications.models import Medication
from medtrack.database.clock import database_now
from medtrack.tests.support.builders import device_of, dose_due, medication_of, revoked, session_of
from medtrack.tests.support.elapsed_time import move_into_past
from notifications import queue
from notifications.explanations import TraceCode
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.tests.trace_steps import ACCEPTED, BUSY, NOW, claim, send, snooze, take, trace_of
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials, log_out
from users.models import User


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    """Due a second ago, with a phone to say so and no follow-ups."""
    User.objects.filter(id=ana.user.id).update(follow_up_cap=0)
    device_of(ana.user)
    return dose_due(ana.user, timezone.now() - timedelta(seconds=1))


OBSTACLES: dict[str, Callable[[DoseLog], Any]] = {
    "answered": take,
    "missed": lambda dose: settle(now=timezone.now() + timedelta(hours=5)),
    "dose_removed": lambda dose: DoseLog.objects.all().delete(),
    "medication_ended": lambda dose: Medication.objects.update(is_active=False),
    "medication_paused": lambda dose: pause_medication(
        medication_id=dose.medication.id, by=dose.medication.user, now=timezone.now()
    ),
    "schedule_ended": lambda dose: Schedule.objects.update(is_active=False),
    "reminder_disabled": lambda dose: Schedule.objects.update(reminder_enabled=False),
    "user_inactive": lambda dose: User.objects.update(is_active=False),
    "snoozed": snooze,
    "expired": lambda dose: move_into_past(31),
    "no_device": lambda dose: log_out(session_id=session_of(dose.user).id, now=timezone.now()),
}


UNWANTED = {"dose_removed", "medication_ended", "medication_paused", "schedule_ended", "user_inactive"}


VERDICTS = (
    dict.fromkeys(OBSTACLES, "not_delivered")
    | dict.fromkeys(UNWANTED, "no_longer_wanted")
    | {"reminder_disabled": "reminders_disabled", "snoozed": "snoozed"}
)


def verdict_of(dose: DoseLog) -> tuple[str, str]:
    verdict = trace_of(dose.id).verdict
    return verdict.code, verdict.reason


def decisions_of(dose: DoseLog) -> list[tuple[str, str]]:
    return [(decision.code, decision.reason) for decision in trace_of(dose.id).decisions]


@pytest.mark.parametrize("reason", OBSTACLES)
def test_a_reminder_that_became_moot_says_why(dose: DoseLog, reason: str) -> None:
    queue.enqueue()
    OBSTACLES[reason](dose)
    assert claim().pushes == []
    code = VERDICTS[reason]
    assert verdict_of(dose) == (code, "" if reason == "snoozed" else reason)
    assert decisions_of(dose)[-1 if reason != "missed" else -2] == ("moot", reason)


@pytest.mark.parametrize("reason", OBSTACLES)
def test_what_stands_in_the_way_is_known_before_the_next_claim_finds_it(dose: DoseLog, reason: str) -> None:
    queue.enqueue()
    OBSTACLES[reason](dose)
    assert verdict_of(dose) == (VERDICTS[reason], "" if reason == "snoozed" else reason)


@pytest.mark.parametrize("reason", OBSTACLES)
def test_a_reminder_that_failed_and_was_then_given_up_says_what_fcm_said(dose: DoseLog, reason: str) -> None:
    queue.enqueue()
    send(BUSY, retry_after=NOW)
    OBSTACLES[reason](dose)
    assert claim().pushes == []
    expected = ("snoozed", "") if reason == "snoozed" else ("not_delivered", "UNAVAILABLE")
    assert verdict_of(dose) == expected
    assert ("refused", "UNAVAILABLE") in decisions_of(dose)
    assert ("dead", reason) in decisions_of(dose)


@pytest.mark.parametrize(
    "outcome",
    [
        FcmResult(FcmResultKind.REVOKE, "UNREGISTERED"),
        FcmResult(FcmResultKind.REVOKE, "SENDER_ID_MISMATCH"),
        FcmResult(FcmResultKind.REVOKE, "INVALID_TOKEN"),
        FcmResult(FcmResultKind.DEAD, "INVALID_ARGUMENT"),
        FcmResult(FcmResultKind.DEAD, "HTTP_400"),
        FcmResult(FcmResultKind.DEAD, "HTTP_413"),
        FcmResult(FcmResultKind.DEAD, "UNSENDABLE"),
    ],
    ids=lambda outcome: outcome.error_code,
)
def test_what_fcm_will_never_take_says_why(dose: DoseLog, outcome: FcmResult) -> None:
    queue.enqueue()
    send(outcome)
    assert verdict_of(dose) == ("not_delivered", outcome.error_code)
    expected = [("claimed", ""), ("refused", outcome.error_code), ("dead", outcome.error_code)]
    if outcome.kind is FcmResultKind.REVOKE:
        expected.append(("token_revoked", outcome.error_code))
    assert sorted(decisions_of(dose)[-len(expected) :]) == sorted(expected)


@pytest.mark.parametrize(
    "code",
    [
        "UNAVAILABLE",
        "INTERNAL",
        "QUOTA_EXCEEDED",
        "THIRD_PARTY_AUTH_ERROR",
        "HTTP_401",
        "HTTP_503",
        "NO_ANSWER",
    ],
)
def test_what_fcm_refuses_for_now_is_being_retried_and_in_the_end_says_why(dose: DoseLog, code: str) -> None:
    queue.enqueue()
    send(FcmResult(FcmResultKind.RETRY, code), retry_after=timedelta(seconds=10))
    assert verdict_of(dose) == ("retrying", code)
    assert decisions_of(dose)[-3:] == [("claimed", ""), ("refused", code), ("will_retry", code)]
    move_into_past(31)
    assert verdict_of(dose) == ("not_delivered", code)
    claim()
    assert verdict_of(dose) == ("not_delivered", code)
    assert decisions_of(dose)[-1] == ("dead", "expired")


@pytest.mark.parametrize("code", ["STOPPED", "NO_ACCESS_TOKEN", "TOO_LATE"])
def test_what_could_not_even_be_sent_says_so(dose: DoseLog, code: str) -> None:
    queue.enqueue()
    send(FcmResult(FcmResultKind.UNSENT, code), retry_after=timedelta(seconds=60))
    assert verdict_of(dose) == ("retrying", code)
    assert decisions_of(dose)[-3:] == [("claimed", ""), ("unsent", code), ("will_retry", code)]
    move_into_past(31)
    claim()
    assert verdict_of(dose) == ("not_delivered", "expired")


def test_a_worker_that_died_leaves_an_attempt_without_an_answer(dose: DoseLog) -> None:
    queue.enqueue()
    claim()
    assert verdict_of(dose) == ("on_its_way", "")
    move_into_past(1)
    assert verdict_of(dose) == ("retrying", "")
    assert decisions_of(dose)[-2:] == [("claimed", ""), ("lease_lost", "")]
    send(ACCEPTED)
    attempts = [(d.code, d.attempt) for d in trace_of(dose.id).decisions if d.attempt]
    assert attempts == [("lease_lost", 1), ("claimed", 2), ("accepted", 2)]
    assert verdict_of(dose) == ("handed_over", "")


def test_a_reminder_put_off_again_while_it_was_queued_says_so(dose: DoseLog) -> None:
    queue.enqueue()
    send(ACCEPTED)
    snooze(dose, minutes=1)
    queue.enqueue()
    snooze(dose, minutes=30)
    move_into_past(2)
    claim()
    assert ("moot", "snoozed_again") in decisions_of(dose)
    DoseLog.objects.update(snoozed_until=None)
    assert verdict_of(dose) == ("handed_over", "")


def follow_up_in_quiet_hours(dose: DoseLog, *, hours: int) -> None:
    """A follow-up of a reminder that found no phone, with quiet hours around it that end so much later."""
    queue.enqueue()
    DeviceToken.objects.update(revoked_at=timezone.now(), revoke_reason="removed_by_owner")
    claim()
    device_of(dose.user)
    move_into_past(11)
    now = timezone.now()
    quiet = {
        "quiet_hours_start_time": now - timedelta(hours=1),
        "quiet_hours_end_time": now + timedelta(hours=hours),
    }
    User.objects.update(follow_up_cap=1, **{name: at.time() for name, at in quiet.items()})
    queue.enqueue_follow_ups()


def test_a_follow_up_waits_for_the_end_of_the_quiet_hours(dose: DoseLog) -> None:
    follow_up_in_quiet_hours(dose, hours=1)
    queue.hold(claim().pushes)
    assert verdict_of(dose) == ("held", "quiet_hours")
    assert decisions_of(dose)[-1] == ("held_by_quiet_hours", "quiet_hours")


def test_a_follow_up_on_its_way_says_more_than_what_expired_before_it(dose: DoseLog) -> None:
    queue.enqueue()
    move_into_past(31)
    User.objects.update(follow_up_cap=1)
    queue.enqueue_follow_ups()
    assert verdict_of(dose) == ("waiting_to_be_sent", "")


def test_a_follow_up_that_quiet_hours_outlast_is_moot_and_the_first_reminder_says_more(dose: DoseLog) -> None:
    follow_up_in_quiet_hours(dose, hours=5)
    queue.hold(claim().pushes)
    assert ("moot", "quiet_hours") in decisions_of(dose)
    assert verdict_of(dose) == ("not_delivered", "no_device")


def test_what_is_too_much_for_one_hour_says_so(dose: DoseLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_PUSHES_BESIDES_DUE", 0)
    follow_up_in_quiet_hours(dose, hours=1)
    assert ("moot", "too_many_pushes") in decisions_of(dose)
    assert verdict_of(dose) == ("not_delivered", "no_device")


def test_a_withdrawal_is_part_of_the_story_and_moot_when_the_dose_is_open_again(dose: DoseLog) -> None:
    queue.enqueue()
    send(ACCEPTED)
    take(dose)
    queue.enqueue()
    send(ACCEPTED)
    assert decisions_of(dose)[-1] == ("withdrawn", "")
    undo_dose(dose_id=dose.id, by=dose.user, now=timezone.now())
    move_into_past(2)
    NotificationLog.objects.filter(kind="due").update(sent_at=timezone.now())
    take(dose)
    queue.enqueue()
    undo_dose(dose_id=dose.id, by=dose.user, now=timezone.now())
    claim()
    assert ("moot", "reopened") in decisions_of(dose)


def test_a_withdrawal_is_told_of_every_dose_that_the_push_stood_for(dose: DoseLog) -> None:
    doses = [dose, dose_due(dose.user, dose.due_at or timezone.now(), medicine="Aspirin")]
    queue.enqueue()
    send(ACCEPTED)
    for answered in doses:
        take(answered)
    queue.enqueue()
    send(ACCEPTED)
    assert NotificationLog.objects.filter(kind="withdraw").count() == 1
    assert [decisions_of(answered)[-1] for answered in doses] == [("withdrawn", "")] * 2


def coming(ana: User) -> DoseLog:
    return dose_due(ana, timezone.now() + timedelta(hours=1))


def due(ana: User, **fields: Any) -> DoseLog:
    return dose_due(ana, timezone.now() - timedelta(seconds=1), **fields)


def answered_early(ana: User) -> DoseLog:
    dose = coming(ana)
    skip_dose(dose_id=dose.id, by=ana, now=timezone.now())
    return dose


def never_enqueued(ana: User) -> DoseLog:
    dose = due(ana)
    move_into_past(300)
    settle(now=timezone.now())
    return dose


def not_wanted(ana: User, **change: Any) -> DoseLog:
    dose = due(ana)
    schedule = dose.schedule
    assert schedule is not None
    update_schedule(schedule_id=schedule.id, by=schedule.medication.user, changes=change, now=timezone.now())
    return dose


def paused(ana: User) -> DoseLog:
    dose = due(ana)
    pause_medication(medication_id=dose.medication.id, by=dose.medication.user, now=timezone.now())
    return dose


def paused_and_resumed(ana: User) -> DoseLog:
    dose = paused(ana)
    move_into_past(300)
    resume_medication(medication_id=dose.medication.id, by=dose.medication.user, now=timezone.now())
    return dose


def signed_off(ana: User) -> DoseLog:
    dose = due(ana)
    User.objects.update(is_active=False)
    return dose


def enqueued_ahead(ana: User) -> DoseLog:
    device_of(ana)
    dose = dose_due(ana, timezone.now() + timedelta(minutes=1))
    queue.enqueue()
    return dose


def enqueued(ana: User) -> DoseLog:
    device_of(ana)
    dose = due(ana)
    queue.enqueue()
    return dose


def answered_ahead(ana: User) -> DoseLog:
    dose = enqueued_ahead(ana)
    take(dose)
    return dose


def stale(ana: User) -> DoseLog:
    User.objects.update(follow_up_cap=0)
    dose = dose_due(ana, timezone.now() - timedelta(minutes=31))
    queue.enqueue()
    return dose


def intake(ana: User) -> DoseLog:
    return log_intake(medication_id=medication_of(ana).id, by=ana, now=timezone.now()).object


WAYS: dict[str, tuple[Callable[[User], DoseLog], str, str]] = {
    "not due yet": (coming, "not_due_yet", ""),
    "due, and the engine is a little behind": (due, "waiting_to_be_enqueued", ""),
    "the engine did not run": (never_enqueued, "never_enqueued", ""),
    "reminders are off": (lambda ana: due(ana, reminder_enabled=False), "reminders_disabled", ""),
    "answered before it was due": (answered_early, "answered_before_due", ""),
    "answered after it was enqueued, before it was due": (answered_ahead, "answered_before_due", "answered"),
    "taken as needed": (intake, "as_needed", ""),
    "the schedule was switched off": (
        lambda ana: not_wanted(ana, is_active=False),
        "no_longer_wanted",
        "schedule_ended",
    ),
    "the medicine is paused": (paused, "no_longer_wanted", "medication_paused"),
    "the medicine was paused meanwhile": (paused_and_resumed, "no_longer_wanted", "medication_paused"),
    "the account is not active": (signed_off, "no_longer_wanted", "user_inactive"),
    "planned long after its time": (
        lambda ana: dose_due(ana, timezone.now() - timedelta(hours=5)),
        "planned_too_late",
        "",
    ),
    "enqueued after its time to be useful": (stale, "not_delivered", "expired"),
    "enqueued ahead": (enqueued_ahead, "not_due_yet", ""),
    "no worker runs": (enqueued, "waiting_to_be_sent", ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_dose_without_a_reminder_says_why(ana: Credentials, way: str) -> None:
    make, code, reason = WAYS[way]
    assert verdict_of(make(ana.user)) == (code, reason)


def test_a_story_is_told_in_order_with_the_push_it_shares(ana: Credentials) -> None:
    due_at = timezone.now() - timedelta(seconds=1)
    device = device_of(ana.user)
    doses = [dose_due(ana.user, due_at, medicine=name) for name in ("Metformin", "Aspirin")]
    move_into_past(1)
    queue.enqueue()
    send(BUSY, retry_after=NOW)
    send(ACCEPTED)
    PushDelivery.objects.update(arrived_at=database_now(), shown_at=database_now())
    take(doses[0])
    result = trace_of(doses[0].id)
    assert result.verdict.code == "delivered"
    lines = [(d.code, d.kind, d.device_id == device.id, d.attempt, d.reason) for d in result.decisions]
    assert lines == [
        ("planned", None, False, None, ""),
        ("enqueued", "due", False, None, ""),
        ("grouped_with", "due", False, None, ""),
        ("claimed", "due", False, 1, ""),
        ("refused", "due", True, 1, "UNAVAILABLE"),
        ("claimed", "due", False, 2, ""),
        ("accepted", "due", True, 2, ""),
        ("arrived", "due", True, None, ""),
        ("shown", "due", True, None, ""),
        ("answered", None, False, None, "taken"),
    ]
    assert [d.at for d in result.decisions] == sorted(d.at for d in result.decisions)


def test_a_phone_that_was_removed_while_the_dose_mattered_is_part_of_the_story(dose: DoseLog) -> None:
    removed, earlier = DeviceToken.objects.get(), device_of(dose.user, "an-older-phone")
    revoked(removed, now=database_now())
    revoked(earlier, now=dose.created_at - timedelta(days=1))
    lost = [d.device_id for d in trace_of(dose.id).decisions if d.code is TraceCode.TOKEN_REVOKED]
    assert lost == [removed.id]
