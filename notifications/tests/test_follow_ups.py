"""Follow-ups and snoozed reminders in the queue."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from dosing.actions.doses import snooze_dose, take_dose, undo_dose
from dosing.models import DoseLog
from medtrack.tests.support.builders import device_of, dose_due
from medtrack.tests.support.database_role import OWNER, acting_as
from medtrack.tests.support.elapsed_time import move_into_past
from notifications import queue
from notifications.models import NotificationLog
from notifications.queue import PushResult, Turn
from notifications.tests.claims import (
    ACCEPTED,
    BUSY,
    GONE,
    LEASE,
    answer,
    answer_first_of_two,
    claim,
    moment_ago,
    reminder,
)
from users.actions import Credentials


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    """Due a second ago, with a phone to say so."""
    device_of(ana.user)
    return dose_due(ana.user, moment_ago())


def follow_ups() -> list[NotificationLog]:
    queue.enqueue()
    queue.enqueue_follow_ups()
    return list(NotificationLog.objects.filter(kind="follow_up").order_by("id"))


def test_a_second_phone_that_dies_later_does_not_undo_that_the_first_one_got_it(
    ana: Credentials, dose: DoseLog
) -> None:
    _first, second = answer_first_of_two(ana.user, retry_after=timedelta(0)).devices
    (again,) = claim().pushes
    queue.mark([PushResult(again, {second: GONE}, None)])
    assert (reminder().status, reminder().reason) == ("accepted", "UNREGISTERED")


def test_a_phone_that_keeps_failing_does_not_hold_back_the_follow_up_of_the_other(
    ana: Credentials, dose: DoseLog
) -> None:
    answer_first_of_two(ana.user, retry_after=timedelta(minutes=20))
    move_into_past(10)
    assert [row.step for row in follow_ups()] == [1]


def test_a_follow_up_waits_from_the_hand_over_and_not_from_the_due_time(dose: DoseLog) -> None:
    queue.enqueue()
    move_into_past(12)
    answer(claim(), ACCEPTED)
    assert follow_ups() == []
    move_into_past(10)
    assert [row.step for row in follow_ups()] == [1]


def test_a_snoozed_dose_is_left_alone_until_its_snooze_ends(ana: Credentials, dose: DoseLog) -> None:
    queue.enqueue()
    answer(claim(), ACCEPTED)
    snooze_dose(dose_id=dose.id, by=ana.user, now=timezone.now(), minutes=15)
    move_into_past(12)
    assert follow_ups() == []
    DoseLog.objects.update(snoozed_until=timezone.now())
    assert follow_ups() == []
    assert claim().pushes[0].kind == "snoozed"


def test_follow_ups_go_on_after_one_that_fcm_never_took(dose: DoseLog) -> None:
    queue.enqueue()
    answer(claim(), BUSY, retry_after=timedelta(0))
    move_into_past(31)
    claim()
    assert (reminder().status, reminder().reason) == ("dead", "expired")
    assert [row.status for row in follow_ups()] == ["queued"]


def test_a_dose_that_was_reopened_is_reminded_of_again(ana: Credentials, dose: DoseLog) -> None:
    queue.enqueue()
    take_dose(dose_id=dose.id, by=ana.user, now=timezone.now())
    claim()
    undo_dose(dose_id=dose.id, by=ana.user, now=timezone.now())
    queue.enqueue()
    answer(claim(), ACCEPTED)
    move_into_past(10)
    assert [row.status for row in follow_ups()] == ["queued"]


def test_a_follow_up_does_not_hide_another_that_is_on_its_way(ana: Credentials) -> None:
    device_of(ana.user)
    due_at = moment_ago()
    first, second = (dose_due(ana.user, due_at, medicine=name) for name in ("Metformin", "Aspirin"))
    queue.enqueue()
    answer(claim(), ACCEPTED)
    take_dose(dose_id=second.id, by=ana.user, now=timezone.now())
    move_into_past(10)
    assert [row.dose_id for row in follow_ups()] == [first.id]
    undo_dose(dose_id=second.id, by=ana.user, now=timezone.now())
    queue.enqueue()
    tags = set(NotificationLog.objects.filter(status="queued").values_list("kind", "tag"))
    assert {kind for kind, _tag in tags} == {"due", "follow_up"}
    assert len({tag for _kind, tag in tags}) == 2


@pytest.mark.breaks_the_engine
def test_at_the_full_hour_the_planner_still_believes_in_quiet_hours(ana: Credentials) -> None:
    """Statistics from when the queue was empty must not make a tag's rows be sought in the whole queue."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notification_logs (id, user_id, dose_id, kind, step, tag, send_at, expires_at, sent_at, "
            "closed_at, status) SELECT medtrack_uuid7(), %s, medtrack_uuid7(), 'due', 0, medtrack_uuid7(), t, "
            "t + interval '1 min', t, t, 'accepted' FROM generate_series(now() - interval '20 days', now() - interval "
            "'1 day', interval '1 min') t",
            [ana.user.id],
        )
        with acting_as(OWNER):
            cursor.execute("ANALYZE notification_logs")
        cursor.execute(queue._BY_KEY.sql)
        params: dict[str, Any] = {
            "limit": 500,
            "lease_token": uuid4(),
            "lease": LEASE,
            "turn": Turn.DOSES,
            "project": "p",
        }
        cursor.execute(f"EXPLAIN {queue._CLAIM.sql}", params | {"devices": queue.MAX_DEVICES_OF_PUSH})
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert plan.count("notification_logs_queue") == 1
    assert plan.count("using notification_logs_by_tag") == 2


def test_an_unanswered_dose_is_followed_up_until_the_cap_and_takes_the_place_on_the_phone(
    dose: DoseLog,
) -> None:
    queue.enqueue()
    answer(claim(), ACCEPTED)
    for step in (1, 2, 3):
        assert queue.enqueue_follow_ups() == 0
        move_into_past(10)
        assert [queue.enqueue_follow_ups(), queue.enqueue_follow_ups()] == [1, 0]
        (push,) = (claimed := claim()).pushes
        assert (push.kind, push.step) == ("follow_up", step)
        answer(claimed, ACCEPTED)
    move_into_past(10)
    assert queue.enqueue_follow_ups() == 0
    assert NotificationLog.objects.values("tag").distinct().count() == 1


def test_an_answered_dose_is_not_followed_up(ana: Credentials, dose: DoseLog) -> None:
    queue.enqueue()
    answer(claim(), ACCEPTED)
    take_dose(dose_id=dose.id, by=ana.user, now=timezone.now())
    move_into_past(10)
    assert follow_ups() == []
