"""What is enqueued besides a dose's first reminder, and what holds it back."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from dosing.actions.doses import skip_dose, snooze_dose, take_dose, undo_dose
from dosing.models import DoseLog
from medtrack.tests.support.builders import PASSWORD, claim_all, device_of, dose_due, session_of
from medtrack.tests.support.elapsed_time import move_into_past
from notifications import queue
from notifications.models import NotificationLog
from notifications.queue import Claim, Push, PushResult
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials, log_in
from users.models import Session, User

ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")
MINUTE = timedelta(minutes=1)


def claim() -> Claim:
    return claim_all()


def deliver() -> list[Push]:
    """Everything due now is accepted by FCM."""
    pushes = claim().pushes
    queue.mark([PushResult(push, dict.fromkeys(push.devices, ACCEPTED), None) for push in pushes])
    return pushes


def enqueue() -> None:
    queue.enqueue()
    queue.enqueue_follow_ups()


def enqueue_and_deliver() -> list[Push]:
    enqueue()
    return deliver()


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    """Due a second ago, with a phone to say so."""
    device_of(ana.user)
    return dose_due(ana.user, timezone.now() - timedelta(seconds=1))


def snooze(dose: DoseLog, minutes: int = 15) -> None:
    snooze_dose(dose_id=dose.id, by=dose.user, now=timezone.now(), minutes=minutes)


def rows(kind: str) -> list[tuple[str, str]]:
    return list(NotificationLog.objects.filter(kind=kind).order_by("step").values_list("status", "reason"))


# Snoozes


def test_the_end_of_a_snooze_is_a_reminder_in_the_place_of_the_one_that_was_snoozed(dose: DoseLog) -> None:
    (first,) = enqueue_and_deliver()
    snooze(dose)
    assert enqueue_and_deliver() == []
    move_into_past(15)
    (again,) = enqueue_and_deliver()
    assert (again.kind, again.tag, again.dose_ids) == ("snoozed", first.tag, first.dose_ids)
    assert NotificationLog.objects.get(kind="snoozed").snooze_count == 1
    assert enqueue_and_deliver() == []


def test_it_comes_even_to_somebody_who_wants_no_follow_ups(dose: DoseLog) -> None:
    User.objects.update(follow_up_cap=0)
    enqueue_and_deliver()
    snooze(dose)
    move_into_past(15)
    assert [push.kind for push in enqueue_and_deliver()] == ["snoozed"]


def test_follow_ups_go_on_after_it(dose: DoseLog) -> None:
    enqueue_and_deliver()
    snooze(dose)
    move_into_past(15)
    enqueue_and_deliver()
    move_into_past(10)
    assert [push.kind for push in enqueue_and_deliver()] == ["follow_up"]


def test_a_dose_snoozed_before_its_time_is_reminded_of_once_at_the_end(ana: Credentials) -> None:
    device_of(ana.user)
    dose = dose_due(ana.user, timezone.now() + MINUTE)
    enqueue()
    snooze(dose)
    move_into_past(2)
    assert enqueue_and_deliver() == []
    assert rows("due") == [("moot", "snoozed")]
    move_into_past(15)
    assert [push.kind for push in enqueue_and_deliver()] == ["snoozed"]


def test_a_dose_snoozed_again_is_reminded_of_at_the_last_end_only(dose: DoseLog) -> None:
    enqueue_and_deliver()
    snooze(dose, 1)
    enqueue()
    snooze(dose, 30)
    move_into_past(2)
    assert enqueue_and_deliver() == []
    assert rows("snoozed") == [("moot", "snoozed_again")]
    move_into_past(30)
    assert [push.step for push in enqueue_and_deliver()] == [2]


def test_a_snooze_that_ended_while_nothing_ran_says_why_nothing_came(dose: DoseLog) -> None:
    enqueue_and_deliver()
    snooze(dose)
    move_into_past(60)
    enqueue()
    assert rows("snoozed") == [("moot", "expired")]


def test_doses_put_off_to_different_times_do_not_hide_each_other(ana: Credentials) -> None:
    device_of(ana.user)
    due_at = timezone.now() - timedelta(seconds=1)
    first, second = (dose_due(ana.user, due_at, medicine=name) for name in ("Metformin", "Aspirin"))
    (both,) = enqueue_and_deliver()
    snooze(first, 15)
    move_into_past(15)
    pushes = {push.kind: push for push in enqueue_and_deliver()}
    assert pushes["snoozed"].dose_ids == [str(first.id)]
    assert pushes["snoozed"].tag != both.tag
    assert pushes["follow_up"].dose_ids == [str(second.id)]


# Quiet hours


def quiet_now(*, ends_in: timedelta) -> datetime:
    """Quiet hours around now for everybody, who lives by UTC; returns their end."""
    now = timezone.now()
    end = (now + ends_in).replace(second=0, microsecond=0)
    User.objects.update(
        timezone="UTC", quiet_hours_start_time=(now - 2 * MINUTE).time(), quiet_hours_end_time=end.time()
    )
    return end


def test_quiet_hours_hold_a_follow_up_until_they_end(dose: DoseLog) -> None:
    enqueue_and_deliver()
    move_into_past(10)
    end = quiet_now(ends_in=timedelta(hours=1))
    enqueue()
    queue.hold(claim().pushes)
    (row,) = NotificationLog.objects.filter(kind="follow_up")
    assert (row.status, row.reason, row.send_at, row.attempts, row.lease_token) == (
        "queued",
        "quiet_hours",
        end,
        0,
        None,
    )
    assert row.expires_at == end + 15 * MINUTE


def test_quiet_hours_never_hold_what_falls_due(dose: DoseLog) -> None:
    quiet_now(ends_in=timedelta(hours=1))
    assert [(push.kind, push.held_until) for push in enqueue_and_deliver()] == [("due", None)]


def test_a_follow_up_that_would_come_after_the_answer_window_is_given_up(dose: DoseLog) -> None:
    enqueue_and_deliver()
    move_into_past(10)
    quiet_now(ends_in=timedelta(hours=5))
    enqueue()
    queue.hold([push for push in claim().pushes if push.held_until])
    assert rows("follow_up") == [("moot", "quiet_hours")]


def test_a_held_follow_up_is_moot_once_the_dose_is_answered(dose: DoseLog) -> None:
    enqueue_and_deliver()
    move_into_past(10)
    quiet_now(ends_in=timedelta(hours=1))
    enqueue()
    queue.hold(claim().pushes)
    take_dose(dose_id=dose.id, by=dose.user, now=timezone.now())
    move_into_past(61)
    assert deliver() == []
    assert rows("follow_up") == [("moot", "answered")]


# After an outage


def test_what_expired_in_an_outage_is_made_up_for_by_one_push(ana: Credentials) -> None:
    device_of(ana.user)
    now = timezone.now()
    doses = [
        dose_due(ana.user, now - timedelta(hours=hours), medicine=f"Medicine {hours}") for hours in (1, 2, 3)
    ]
    (push,) = enqueue_and_deliver()
    assert push.kind == "follow_up"
    assert set(push.dose_ids) == {str(dose.id) for dose in doses}
    assert rows("due") == [("moot", "expired")] * 3
    assert enqueue_and_deliver() == []


def test_nobody_is_pushed_to_without_end(ana: Credentials) -> None:
    device_of(ana.user)
    now = timezone.now()
    for number in range(queue.MAX_PUSHES_BESIDES_DUE + 5):
        dose_due(ana.user, now - timedelta(seconds=number + 1), medicine=f"Medicine {number}")
    enqueue_and_deliver()
    move_into_past(15)
    assert len(enqueue_and_deliver()) == queue.MAX_PUSHES_BESIDES_DUE
    assert rows("follow_up").count(("moot", "too_many_pushes")) == 5


def test_the_end_of_a_snooze_is_not_followed_up_as_well_whoever_comes_first(dose: DoseLog) -> None:
    enqueue_and_deliver()
    snooze(dose)
    move_into_past(15)
    queue.enqueue_follow_ups()
    assert [push.kind for push in deliver()] == ["snoozed"]


# Withdrawals


@pytest.fixture
def tablet(ana: Credentials, dose: DoseLog) -> Session:
    """A second sign-in of Ana's, with a device of its own."""
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    device_of(ana.user, "tablet")
    return session_of(ana.user)


def withdrawn() -> list[Push]:
    return [push for push in enqueue_and_deliver() if push.kind == "withdraw"]


def test_an_answer_withdraws_the_notification_from_the_other_phones(dose: DoseLog, tablet: Session) -> None:
    (shown,) = enqueue_and_deliver()
    take_dose(dose_id=dose.id, by=dose.user, session=tablet, now=timezone.now())
    (push,) = withdrawn()
    assert (push.tag, list(push.devices.values())) == (shown.tag, ["token-of-Ana"])
    assert withdrawn() == []


def test_a_single_phone_that_answered_is_told_nothing(ana: Credentials, dose: DoseLog) -> None:
    enqueue_and_deliver()
    skip_dose(dose_id=dose.id, by=dose.user, session=session_of(ana.user), now=timezone.now())
    assert withdrawn() == []


def test_what_still_stands_for_another_dose_stays(ana: Credentials) -> None:
    device_of(ana.user)
    due_at = timezone.now() - timedelta(seconds=1)
    first, second = (dose_due(ana.user, due_at, medicine=name) for name in ("Metformin", "Aspirin"))
    enqueue_and_deliver()
    take_dose(dose_id=first.id, by=ana.user, now=timezone.now())
    assert withdrawn() == []
    take_dose(dose_id=second.id, by=ana.user, now=timezone.now())
    assert len(withdrawn()) == 1


def test_a_reopened_dose_is_not_withdrawn_and_what_it_shows_next_is(dose: DoseLog) -> None:
    def answer() -> None:
        take_dose(dose_id=dose.id, by=dose.user, now=timezone.now())

    enqueue_and_deliver()
    answer()
    enqueue()
    undo_dose(dose_id=dose.id, by=dose.user, now=timezone.now())
    assert deliver() == []
    assert rows("withdraw") == [("moot", "reopened")]
    assert [push.kind for push in enqueue_and_deliver()] == ["due"]
    answer()
    assert len(withdrawn()) == 1


def test_a_phone_that_never_showed_it_needs_no_withdrawal(dose: DoseLog, tablet: Session) -> None:
    enqueue()
    (push,) = claim().pushes
    first, second = push.devices
    gone = FcmResult(FcmResultKind.REVOKE, "UNREGISTERED")
    queue.mark([PushResult(push, {first: ACCEPTED, second: gone}, None)])
    take_dose(dose_id=dose.id, by=dose.user, now=timezone.now())
    assert [list(push.devices) for push in withdrawn()] == [[first]]


def test_a_test_push_goes_to_its_device_alone(ana: Credentials, tablet: Session) -> None:
    device = device_of(ana.user, "tablet")
    now = datetime.now(UTC)
    NotificationLog.objects.create(
        user=ana.user,
        device=device,
        kind="test",
        tag=UUID(int=1),
        send_at=now - timedelta(seconds=1),
        expires_at=now + 5 * MINUTE,
    )
    (push,) = deliver()
    assert (push.kind, push.dose_ids, list(push.devices.values())) == ("test", [], ["tablet"])
