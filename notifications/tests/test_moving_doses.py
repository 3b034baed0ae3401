"""Doses that move, that are withdrawn, and whose answer is taken back: when the phone rings."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from dosing.actions.doses import skip_dose, snooze_dose, take_dose
from dosing.actions.schedules import delete_medication, pause_medication, resume_medication
from dosing.models import DoseLog
from medications.models import Medication
from medtrack.tests.support.builders import device_of
from medtrack.tests.support.given_clock import given_clock, set_clock
from notifications import queue
from notifications.models import NotificationLog
from notifications.tests.given_times import House, clock
from notifications.trace import trace
from notifications.trace_history import history_of
from users.actions import Credentials
from users.models import User

# The view of the invariants reads today's clock.
pytestmark = pytest.mark.breaks_the_engine


@pytest.fixture
def house(ana: Credentials) -> Iterator[House]:
    User.objects.update(follow_up_cap=0)
    with given_clock():
        yield House(ana.user)


def ends(kind: str) -> list[tuple[str, str]]:
    return list(NotificationLog.objects.filter(kind=kind).order_by("id").values_list("status", "reason"))


# The dose moves


def test_a_dose_moved_an_hour_later_shortly_before_its_time_rings_once_at_the_new_one(house: House) -> None:
    schedule = house.medicine("20:00")
    house.live("19:56", "19:58")
    house.move(schedule, "21:00", now=clock("19:58:05"))
    house.live("19:58:10", "21:10")
    assert house.rung() == [("21:00", "due")]
    assert ends("due") == [("moot", "dose_moved"), ("accepted", "")]


def test_a_dose_claimed_in_the_second_before_it_moved_rang_and_rings_again(house: House) -> None:
    schedule = house.medicine("20:00")
    house.live("19:58", "19:59")
    pushes = house.claim(clock("20:00"))
    house.move(schedule, "21:00", now=clock("19:59:50"))  # it waited for a lock, so it was committed after
    house.accept(pushes, clock("20:00:01"))
    house.live("20:00:10", "21:10")
    assert house.rung() == [("20:00:01", "due"), ("21:00", "due")]


def test_a_dose_moved_to_an_earlier_time_rings_there_only(house: House) -> None:
    schedule = house.medicine("20:00")
    house.live("19:57", "19:58")
    house.move(schedule, "19:59", now=clock("19:58:20"))
    house.live("19:58:30", "20:10")
    assert house.rung() == [("19:59", "due")]


def test_a_dose_moved_there_and_back_rings_once(house: House) -> None:
    schedule = house.medicine("20:00")
    house.live("19:57", "19:58:30")
    house.move(schedule, "21:00", now=clock("19:58:35"))
    house.tick(clock("19:58:40"))
    house.move(schedule, "20:00", now=clock("19:58:45"))
    house.live("19:58:50", "21:10")
    assert house.rung() == [("20:00", "due")]


def test_follow_ups_count_from_the_time_that_the_dose_has_now(house: House) -> None:
    User.objects.update(follow_up_cap=1)
    schedule = house.medicine("20:00")
    house.live("19:58", "19:59:40")
    pushes = house.claim(clock("20:00"))
    house.move(schedule, "20:30", now=clock("19:59:50"))
    house.accept(pushes, clock("20:00"))
    house.live("20:00:10", "21:00")
    assert house.rung() == [("20:00", "due"), ("20:30", "due"), ("20:40", "follow_up")]


def test_a_follow_up_of_the_time_before_is_moot(house: House) -> None:
    User.objects.update(follow_up_cap=1)
    schedule = house.medicine("20:00")
    house.live("19:58", "20:09")
    set_clock(clock("20:10"))
    queue.enqueue_follow_ups()
    # Such as by staff, who correct a time in the database: doses that were due do not move.
    later = clock("21:00")
    DoseLog.objects.filter(schedule=schedule).update(due_at=later, answer_by=later + timedelta(hours=4))
    house.accept(house.claim(clock("20:10")), clock("20:10"))
    assert ends("follow_up") == [("moot", "dose_moved")]


def test_moving_a_dose_ends_its_snooze(house: House) -> None:
    schedule = house.medicine("20:00")
    snooze_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("19:50"), minutes=1)
    house.tick(clock("19:59:30"))
    house.move(schedule, "21:00", now=clock("19:59:40"))
    house.live("19:59:50", "21:10")
    assert house.rung() == [("21:00", "due")]
    assert ends("snoozed") == [("moot", "dose_moved")]


def test_the_trace_is_about_the_time_that_the_dose_has_now(house: House) -> None:
    schedule = house.medicine("20:00")
    house.live("19:58", "19:59:40")
    pushes = house.claim(clock("20:00"))
    house.move(schedule, "21:00", now=clock("19:59:50"))
    house.accept(pushes, clock("20:00"))
    DoseLog.objects.update(created_at=clock("12:00"))
    told = trace(history_of(house.dose(schedule).id, now=clock("20:30")))
    assert (told.verdict.code, told.verdict.details) == ("not_due_yet", {"time": "2026-03-01 21:00"})
    assert "accepted" in [decision.code for decision in told.decisions]


# The plan has the dose no longer


def test_a_withdrawn_dose_gets_no_reminder(house: House) -> None:
    schedule = house.medicine("20:00")
    snooze_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("19:50"), minutes=10)
    DoseLog.objects.filter(schedule=schedule).update(withdrawn_at=clock("19:55"), answer_by=None)
    house.live("19:58", "20:30")
    assert not NotificationLog.objects.exists()


def test_a_dose_withdrawn_while_its_reminder_waits_says_so(house: House) -> None:
    schedule = house.medicine("20:00")
    house.tick(clock("19:59"))
    DoseLog.objects.filter(schedule=schedule).update(withdrawn_at=clock("19:59:30"), answer_by=None)
    house.live("20:00", "20:30")
    assert ends("due") == [("moot", "dose_withdrawn")]
    told = trace(history_of(house.dose(schedule).id, now=clock("20:30")))
    assert (told.verdict.code, told.verdict.reason) == ("no_longer_wanted", "dose_withdrawn")


@pytest.mark.parametrize("reason", ["medication_paused", "medication_ended"])
def test_the_pause_or_the_end_that_withdrew_a_dose_is_the_reason(house: House, reason: str) -> None:
    schedule = house.medicine("20:00")
    house.tick(clock("19:59"))
    end = pause_medication if reason == "medication_paused" else delete_medication
    # Answered and taken back, so that the dose is kept.
    take_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("19:59:10"))
    house.undo(house.dose(schedule), now=clock("19:59:20"))
    end(medication_id=schedule.medication_id, by=house.user, now=clock("19:59:30"))
    house.live("20:00", "20:30")
    assert ends("due") == [("moot", reason)]


@pytest.mark.parametrize("snoozed", [False, True])
def test_a_pause_of_some_seconds_over_the_due_minute_loses_no_reminder(house: House, snoozed: bool) -> None:
    schedule = house.medicine("20:00")
    house.live("19:58", "19:59")
    medication: dict[str, Any] = {"medication_id": schedule.medication_id, "by": house.user}
    if snoozed:
        snooze_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("19:59:30"), minutes=5)
    pause_medication(**medication, now=clock("19:59:50"))
    house.tick(clock("20:00"))
    resume_medication(**medication, now=clock("20:00:10"))
    house.live("20:00:10", "20:20")
    assert house.rung() == ([("20:05", "snoozed")] if snoozed else [("20:00:10", "due")])


def test_a_pause_that_has_ended_by_itself_holds_nothing_back(house: House) -> None:
    house.medicine("20:00")
    Medication.objects.update(paused_at=clock("18:00"), paused_until=clock("19:30"))
    house.live("19:59", "20:01")
    assert house.rung() == [("20:00", "due")]


def test_a_pause_that_will_end_by_itself_holds_back(house: House) -> None:
    house.medicine("20:00")
    Medication.objects.update(paused_at=clock("18:00"), paused_until=clock("20:15"))
    house.live("19:59", "20:01")
    assert (house.rung(), ends("due")) == ([], [("moot", "medication_paused")])


def test_what_is_shown_of_a_deleted_medication_is_taken_off_the_phones_once(house: House) -> None:
    schedule = house.medicine("20:00")
    device_of(house.user, "tablet")
    house.live("19:59", "20:05")
    delete_medication(medication_id=schedule.medication_id, by=house.user, now=clock("20:05:05"))
    house.live("20:05:10", "20:20")
    assert ends("withdraw") == [("accepted", "")] * 2


def test_what_is_shown_stays_while_it_stands_for_a_dose_that_is_not_withdrawn(house: House) -> None:
    schedule = house.medicine("20:00")
    house.medicine("20:00", name="Aspirin")
    house.live("19:59", "20:05")
    delete_medication(medication_id=schedule.medication_id, by=house.user, now=clock("20:05:05"))
    house.live("20:05:10", "20:20")
    assert ends("withdraw") == []


def test_a_withdrawal_is_moot_once_the_dose_is_back(house: House) -> None:
    schedule = house.medicine("20:00")
    house.live("19:59", "20:05")
    pause_medication(medication_id=schedule.medication_id, by=house.user, now=clock("20:05:05"))
    house.enqueue(clock("20:05:10"))
    resume_medication(medication_id=schedule.medication_id, by=house.user, now=clock("20:05:15"))
    house.tick(clock("20:05:20"))
    assert ends("withdraw") == [("moot", "reopened")]


# The answer is taken back


@pytest.mark.parametrize(("taken", "rows"), [("07:50", []), ("07:59", [("moot", "answered")])])
@pytest.mark.parametrize("undone", ["08:10", "08:45"])
def test_a_mistake_taken_back_after_the_dose_was_due_is_reminded_of_at_once(
    house: House, taken: str, rows: list[tuple[str, str]], undone: str
) -> None:
    """Whether the first reminder was already in the queue when it was taken, or not."""
    schedule = house.medicine("08:00", made="01:00")
    house.tick(clock("07:58:30"))
    if not rows:
        NotificationLog.objects.all().delete()
    take_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock(taken))
    house.live("07:59:10", "08:05")
    assert (house.rung(), ends("due")) == ([], rows)
    house.undo(house.dose(schedule), now=clock(undone))
    house.live(undone, "09:00")
    assert house.rung() == [(undone, "due")]
    again = NotificationLog.objects.get(kind="due", status="accepted")
    assert again.expires_at == clock(undone) + timedelta(minutes=30)


def test_a_mistake_taken_back_before_the_dose_is_due_changes_nothing(house: House) -> None:
    schedule = house.medicine("08:00", made="01:00")
    house.tick(clock("07:58:30"))
    take_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("07:59"))
    house.undo(house.dose(schedule), now=clock("07:59:10"))
    house.live("07:59:20", "08:30")
    assert house.rung() == [("08:00", "due")]


def test_each_mistake_is_reminded_of_again_in_the_place_of_what_was_shown(house: House) -> None:
    schedule = house.medicine("08:00", made="01:00")
    house.live("07:59", "08:05")
    take_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("08:05:01"))
    house.undo(house.dose(schedule), now=clock("08:05:02"))
    house.live("08:05:10", "08:06")
    skip_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("08:06:01"))
    house.live("08:06:10", "08:07")
    house.undo(house.dose(schedule), now=clock("08:07:05"))
    house.live("08:07:10", "09:00")
    assert house.rung() == [("08:00", "due"), ("08:05:10", "due"), ("08:07:10", "due")]
    assert NotificationLog.objects.filter(kind="due").values("tag").distinct().count() == 1


def test_without_a_phone_it_is_tried_once(house: House) -> None:
    schedule = house.medicine("08:00", made="01:00")
    house.user.devices.all().delete()
    house.live("07:59", "08:05")
    take_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("08:05:01"))
    house.undo(house.dose(schedule), now=clock("08:05:02"))
    house.live("08:05:10", "08:30")
    assert ends("due") == [("moot", "no_device")] * 2


def test_what_is_taken_back_together_is_one_push(house: House) -> None:
    schedules = [house.medicine("08:00", name=name, made="01:00") for name in ("Metformin", "Aspirin")]
    house.live("07:59", "08:01")
    for schedule in schedules:
        take_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("08:02"))
    for schedule in schedules:
        house.undo(house.dose(schedule), now=clock("08:03"))
    house.enqueue(clock("08:03:10"))
    (push,) = [push for push in house.claim(clock("08:03:10")) if push.kind == "due"]
    assert len(push.dose_ids) == 2


def test_follow_ups_go_on_after_it(house: House) -> None:
    User.objects.update(follow_up_cap=1)
    schedule = house.medicine("08:00", made="01:00")
    take_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("07:50"))
    house.live("07:58", "08:15")
    house.undo(house.dose(schedule), now=clock("08:15:05"))
    house.live("08:15:10", "08:40")
    assert house.rung() == [("08:15:10", "due"), ("08:26", "follow_up")]


def test_after_four_hours_nothing_rings_by_itself(house: House) -> None:
    schedule = house.medicine("08:00", made="01:00")
    house.live("07:59", "08:01")
    take_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("08:02"))
    house.undo(house.dose(schedule), now=clock("12:00:05"))
    house.live("12:00:10", "12:30")
    assert house.rung() == [("08:00", "due")]


def test_a_reopened_dose_that_is_snoozed_is_reminded_of_when_the_snooze_ends(house: House) -> None:
    schedule = house.medicine("08:00", made="01:00")
    house.live("07:59", "08:01")
    take_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("08:02"))
    house.undo(house.dose(schedule), now=clock("08:03"))
    snooze_dose(dose_id=house.dose(schedule).id, by=house.user, now=clock("08:03:05"), minutes=15)
    house.live("08:03:10", "09:00")
    assert house.rung() == [("08:00", "due"), ("08:19", "snoozed")]
