"""Doses that wait for a reminder are counted from the doses, so that an engine that stands still is seen."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dosing.actions.doses import snooze_dose, take_dose
from dosing.models import DoseLog, Schedule
from medications.models import Medication
from medtrack.database.clock import database_now
from medtrack.tests.support.builders import device_of, dose_due, push_a_test
from medtrack.tests.support.planner import forget_statistics
from notifications import queue
from notifications.lateness import LateDoses, late_doses
from notifications.models import NotificationLog, TaskRun
from notifications.queue import Push, PushResult
from notifications.task_runs import ENQUEUE, record_success
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials

LEASE = timedelta(seconds=25)
ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")
RETRY = FcmResult(FcmResultKind.RETRY, "UNAVAILABLE", pause=timedelta(minutes=10))


def overdue(person: Credentials, *, seconds: float = 112, **fields: Any) -> DoseLog:
    return dose_due(person.user, timezone.now() - timedelta(seconds=seconds), **fields)


def claim() -> list[Push]:
    return queue.claim(limit=10, lease=LEASE).pushes


def answer(outcome: FcmResult, *, retry_after: timedelta | None = None) -> None:
    pushes = claim()
    queue.mark([PushResult(push, dict.fromkeys(push.devices, outcome), retry_after) for push in pushes])


def test_a_dose_without_a_reminder_is_late_since_it_was_due(ana: Credentials) -> None:
    overdue(ana)
    overdue(ana, seconds=50)
    late = late_doses()
    assert late.doses == 2
    assert 112 <= late.oldest_seconds < 170


def test_a_dose_whose_reminder_waits_in_the_queue_is_late(ana: Credentials) -> None:
    device_of(ana.user)
    overdue(ana)
    queue.enqueue()
    assert late_doses().doses == 1
    claim()
    assert late_doses().doses == 1


def test_a_dose_that_fcm_did_not_take_yet_is_late(ana: Credentials) -> None:
    device_of(ana.user)
    overdue(ana)
    queue.enqueue()
    answer(RETRY, retry_after=timedelta(minutes=10))
    assert late_doses().doses == 1


def test_a_dose_that_waits_for_a_suspect_token_is_not_late(ana: Credentials) -> None:
    """The token is its device's own fault, and a project that is in doubt is an alarm of its own."""
    device_of(ana.user)
    overdue(ana)
    queue.enqueue()
    answer(FcmResult(FcmResultKind.SUSPECT, "SENDER_ID_MISMATCH"), retry_after=timedelta(minutes=10))
    assert late_doses().doses == 0


def test_a_dose_whose_reminder_was_handed_over_is_not_late(ana: Credentials) -> None:
    device_of(ana.user)
    overdue(ana)
    queue.enqueue()
    answer(ACCEPTED)
    assert late_doses() == LateDoses(0, 0)


def test_a_dose_of_a_person_without_a_phone_is_not_late_once_the_engine_looked_at_it(
    ana: Credentials,
) -> None:
    overdue(ana)
    queue.enqueue()
    claim()
    assert NotificationLog.objects.get().reason == "no_device"
    assert late_doses().doses == 0


def test_the_engine_is_given_the_time_of_its_own_ticks(ana: Credentials) -> None:
    overdue(ana, seconds=5)
    overdue(ana, seconds=-60)
    assert late_doses().doses == 0


def test_an_answered_dose_is_not_late(ana: Credentials) -> None:
    take_dose(dose_id=overdue(ana).id, by=ana.user, now=timezone.now())
    assert late_doses().doses == 0


def test_a_dose_past_its_answer_window_is_not_late(ana: Credentials) -> None:
    overdue(ana, seconds=4 * 3600 + 10)
    assert late_doses().doses == 0


def test_a_dose_that_was_put_off_is_late_when_that_is_over(ana: Credentials) -> None:
    dose = overdue(ana, seconds=300)
    snooze_dose(dose_id=dose.id, by=ana.user, minutes=10, now=timezone.now())
    assert late_doses().doses == 0
    DoseLog.objects.update(snoozed_until=timezone.now() - timedelta(seconds=60))
    late = late_doses()
    assert late.doses == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda dose: Schedule.objects.update(reminder_enabled=False),
        lambda dose: Schedule.objects.update(is_active=False),
        lambda dose: Medication.objects.update(is_active=False),
        lambda dose: Medication.objects.update(paused_at=timezone.now()),
        lambda dose: type(dose.user).objects.update(is_active=False),
    ],
    ids=["reminders off", "schedule ended", "medicine ended", "medicine paused", "account inactive"],
)
@pytest.mark.parametrize("is_enqueued", [False, True])
def test_a_dose_that_is_not_wanted_is_not_late(ana: Credentials, change: Any, is_enqueued: bool) -> None:
    dose = overdue(ana)
    if is_enqueued:
        queue.enqueue()
    assert late_doses().doses == 1
    change(dose)
    assert late_doses().doses == 0


def test_neither_tests_nor_follow_ups_make_a_dose_late(ana: Credentials) -> None:
    device = device_of(ana.user)
    overdue(ana, seconds=1200)
    queue.enqueue()
    answer(ACCEPTED)
    NotificationLog.objects.update(sent_at=timezone.now() - timedelta(minutes=15))
    assert queue.enqueue_follow_ups() == 1
    push_a_test(device, now=database_now())
    NotificationLog.objects.filter(status="queued").update(send_at=timezone.now() - timedelta(seconds=100))
    assert late_doses().doses == 0


def test_a_dose_made_after_the_last_complete_run_is_counted_although_it_was_due_before(
    ana: Credentials,
) -> None:
    record_success(ENQUEUE, seconds=0.1)
    overdue(ana)
    assert late_doses().doses == 1


def test_a_dose_due_after_the_last_complete_run_is_counted_whenever_it_was_made(ana: Credentials) -> None:
    overdue(ana)
    record_success(ENQUEUE, seconds=0.1)
    TaskRun.objects.update(finished_at=timezone.now() - timedelta(minutes=5))
    assert late_doses().doses == 1


def test_late_doses_are_found_by_index(ana: Credentials) -> None:
    forget_statistics()
    record_success(ENQUEUE, seconds=0.1)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        with CaptureQueriesContext(connection) as captured:
            late_doses()
        cursor.execute(f"EXPLAIN {captured[-1]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Seq Scan" not in plan
    for index in (
        "dose_logs_pending_by_due",
        "dose_logs_pkey",
        "dose_logs_snoozed",
        "notification_logs_queue",
        "notification_logs_once_per_dose_due_at_and_step",
    ):
        assert index in plan
