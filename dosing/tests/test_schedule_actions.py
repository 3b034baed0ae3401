"""Writes to schedules and medications: doses that were due stay, future ones follow the change."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from dosing.actions.accounts import update_profile
from dosing.actions.doses import DoseResult, snooze_dose, take_dose, undo_dose
from dosing.actions.schedules import (
    create_schedule,
    delete_medication,
    delete_schedule,
    pause_medication,
    resume_medication,
    update_schedule,
)
from dosing.models import DoseLog, Schedule
from dosing.planning import plan_due
from dosing.settling import settle
from medications.models import Medication
from medtrack.tests.support.builders import dose_due, medication_of, person, schedule_at, utc
from medtrack.tests.support.workers import closing
from users.actions import Credentials
from users.models import User

NOW = utc(2026, 11, 20, 12)


snooze_for_ten_minutes = partial(snooze_dose, minutes=10)


def dates_and_times(**filters: Any) -> list[tuple[int, str]]:
    """Day of the month and wall clock in UTC, in the order in which they fall due."""
    doses = DoseLog.objects.filter(**filters).order_by("due_at")
    return [(dose.log_date.day, f"{dose.due_at:%d %H:%M}") for dose in doses]


def test_editing_a_schedule_replans_the_future_and_keeps_what_was_due(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(11), now=NOW - timedelta(hours=2))
    take_dose(dose_id=DoseLog.objects.get(due_at=utc(2026, 11, 20, 11)).id, by=ana.user, now=NOW)
    update_schedule(
        schedule_id=schedule.id, by=schedule.medication.user, changes={"scheduled_time": time(18)}, now=NOW
    )
    rows = list(DoseLog.objects.order_by("due_at").values_list("due_at", "status", "scheduled_time"))
    # The 20th has its dose already: one occurrence per schedule and local date.
    assert rows == [
        (utc(2026, 11, 20, 11), "taken", time(11)),
        (utc(2026, 11, 21, 18), "pending", time(18)),
    ]


def test_deleting_a_schedule_keeps_its_history_and_ends_its_future(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(11), now=NOW - timedelta(hours=2))
    delete_schedule(schedule_id=schedule.id, by=schedule.medication.user, now=NOW)
    assert list(DoseLog.objects.values_list("due_at", flat=True)) == [utc(2026, 11, 20, 11)]
    schedule.refresh_from_db()
    assert (schedule.deleted_at, schedule.planned_until, schedule.is_active) == (NOW, None, False)


def test_deleting_a_medication_ends_all_its_schedules(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    for hour in (11, 19):
        schedule_at(medication, time(hour), now=NOW - timedelta(hours=2))
    delete_medication(medication_id=medication.id, by=medication.user, now=NOW)
    assert list(DoseLog.objects.values_list("due_at", flat=True)) == [utc(2026, 11, 20, 11)]
    assert not Schedule.objects.filter(deleted_at=None).exists()
    with pytest.raises(Http404):
        schedule_at(medication, time(9), now=NOW)


def test_a_dose_to_come_that_was_touched_follows_the_edit(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    early = DoseLog.objects.earliest("due_at")
    take_dose(dose_id=early.id, by=ana.user, now=NOW)
    undo_dose(dose_id=early.id, by=ana.user, now=NOW)
    update_schedule(
        schedule_id=schedule.id, by=schedule.medication.user, changes={"scheduled_time": time(14)}, now=NOW
    )
    assert list(DoseLog.objects.order_by("due_at").values_list("due_at", flat=True)) == [
        utc(2026, 11, 20, 14),
        utc(2026, 11, 21, 14),
    ]


def test_the_present_moment_is_no_business_of_the_past(ana: Credentials) -> None:
    """A dose due a second ago is not re-planned by an edit now."""
    now = timezone.now()
    dose = dose_due(ana.user, now.replace(second=0, microsecond=0) - timedelta(minutes=1))
    schedule = Schedule.objects.get(doses=dose)
    update_schedule(
        schedule_id=schedule.id,
        by=schedule.medication.user,
        changes={"quantity": Decimal(2), "end_date": None},
        now=now,
    )
    assert DoseLog.objects.filter(id=dose.id, quantity=1).exists()


def test_an_edit_that_changes_no_rule_leaves_the_doses_alone(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    before = set(DoseLog.objects.values_list("id", flat=True))
    for changes in ({}, {"scheduled_time": time(13)}, {"reminder_enabled": False}):
        schedule = update_schedule(
            schedule_id=schedule.id, by=schedule.medication.user, changes=changes, now=NOW
        ).object
    assert set(DoseLog.objects.values_list("id", flat=True)) == before
    assert schedule.version == 2


def test_a_deleted_schedule_cannot_be_edited(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    delete_schedule(schedule_id=schedule.id, by=schedule.medication.user, now=NOW)
    with pytest.raises(Http404):
        update_schedule(
            schedule_id=schedule.id, by=schedule.medication.user, changes={"is_active": True}, now=NOW
        )


def test_an_edit_is_checked_against_the_row_as_it_is_now(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    stale = Schedule.objects.get(id=schedule.id)
    update_schedule(
        schedule_id=schedule.id, by=schedule.medication.user, changes={"end_date": date(2026, 12, 1)}, now=NOW
    )
    with pytest.raises(ValidationError):
        update_schedule(
            schedule_id=stale.id, by=stale.medication.user, changes={"start_date": date(2026, 12, 2)}, now=NOW
        )


@pytest.mark.django_db(transaction=True)
def test_a_dose_answered_while_its_schedule_is_edited_stays() -> None:
    ana = person("Ana").user
    schedule = schedule_at(medication_of(ana), time(13), now=NOW)
    dose = DoseLog.objects.earliest("due_at")
    rounds = Barrier(2)

    def take() -> None:
        rounds.wait()
        take_dose(dose_id=dose.id, by=ana, now=NOW)

    def edit(hour: int) -> None:
        rounds.wait()
        update_schedule(
            schedule_id=schedule.id,
            by=schedule.medication.user,
            changes={"scheduled_time": time(hour)},
            now=NOW,
        )

    for hour in range(14, 23):
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(closing(edit), hour), pool.submit(closing(take))]
            errors = [job.exception() for job in jobs]
        # In either order the only error is that the schedule is gone.
        assert errors[0] is None
        assert errors[1] is None or isinstance(errors[1], Http404)
        dose = DoseLog.objects.earliest("due_at")
        if dose.status == "taken":
            undo_dose(dose_id=dose.id, by=ana, now=NOW)
            schedule = schedule_at(medication_of(ana, f"Medicine {hour}"), time(13), now=NOW)
            dose = DoseLog.objects.filter(schedule=schedule).earliest("due_at")


@pytest.mark.parametrize("change", ["edit", "delete"])
def test_what_fell_due_while_nothing_was_planned_is_recorded_before_a_change(
    ana: Credentials, change: str
) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    later = NOW + timedelta(days=5)
    if change == "edit":
        update_schedule(
            schedule_id=schedule.id,
            by=schedule.medication.user,
            changes={"scheduled_time": time(18)},
            now=later,
        )
    else:
        delete_schedule(schedule_id=schedule.id, by=schedule.medication.user, now=later)
    due = DoseLog.objects.filter(due_at__lt=later).order_by("due_at")
    assert [dose.log_date.day for dose in due] == [20, 21, 22, 23, 24]


def test_a_date_whose_new_time_has_passed_keeps_its_dose(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(20), now=NOW)
    update_schedule(
        schedule_id=schedule.id, by=schedule.medication.user, changes={"scheduled_time": time(8)}, now=NOW
    )
    assert dates_and_times() == [(20, "20 20:00"), (21, "21 08:00")]
    update_schedule(
        schedule_id=schedule.id, by=schedule.medication.user, changes={"scheduled_time": time(13)}, now=NOW
    )
    assert dates_and_times() == [(20, "20 13:00"), (21, "21 13:00")]


def test_an_edit_touches_no_dose_that_it_does_not_change(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    before = list(DoseLog.objects.order_by("id").values())
    changes = {"cycle_type": "interval", "cycle_value": {"every": 1}}
    update_schedule(schedule_id=schedule.id, by=schedule.medication.user, changes=changes, now=NOW)
    assert list(DoseLog.objects.order_by("id").values()) == before


def test_a_date_that_is_no_longer_on_the_cycle_goes(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    changes = {"cycle_type": "weekly", "cycle_value": {"days": ["sat"]}}
    update_schedule(schedule_id=schedule.id, by=schedule.medication.user, changes=changes, now=NOW)
    assert dates_and_times() == [(21, "21 13:00")]


@pytest.mark.parametrize("change", ["pause", "delete", "delete medication", "inactive", "end of the span"])
def test_what_is_paused_or_ended_is_never_missed(ana: Credentials, change: str) -> None:
    medication = medication_of(ana.user)
    schedule = schedule_at(medication, time(11), now=NOW - timedelta(days=1, hours=2))
    answered, open_dose = DoseLog.objects.filter(due_at__lt=NOW).order_by("due_at")
    while settle(now=NOW):
        pass
    answered.refresh_from_db()
    assert answered.status == "missed"
    if change == "pause":
        pause_medication(medication_id=medication.id, by=medication.user, now=NOW)
    elif change == "delete":
        delete_schedule(schedule_id=schedule.id, by=schedule.medication.user, now=NOW)
    elif change == "delete medication":
        delete_medication(medication_id=medication.id, by=medication.user, now=NOW)
    elif change == "inactive":
        update_schedule(
            schedule_id=schedule.id, by=schedule.medication.user, changes={"is_active": False}, now=NOW
        )
    else:
        update_schedule(
            schedule_id=schedule.id,
            by=schedule.medication.user,
            changes={"end_date": date(2026, 11, 19)},
            now=NOW,
        )
    plan_due(now=NOW + timedelta(days=3))
    assert settle(now=NOW + timedelta(days=3)) == 0
    assert list(DoseLog.objects.order_by("due_at").values_list("id", "status")) == [
        (answered.id, "missed"),
        (open_dose.id, "pending"),
    ]
    assert take_dose(dose_id=open_dose.id, by=ana.user, now=NOW).object.status == "taken"


def test_a_snoozed_dose_of_a_paused_medication_is_not_missed_either(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    schedule_at(medication, time(13), now=NOW)
    dose = DoseLog.objects.earliest("due_at")
    snooze_dose(dose_id=dose.id, by=ana.user, now=NOW, minutes=5)
    pause_medication(medication_id=medication.id, by=medication.user, now=NOW)
    assert settle(now=NOW + timedelta(days=3)) == 0
    assert list(DoseLog.objects.values_list("id", flat=True)) == [dose.id]


def test_a_pause_leaves_no_doses_behind_and_none_to_catch_up_with(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    schedule_at(medication, time(13), now=NOW)
    paused = pause_medication(medication_id=medication.id, by=medication.user, now=NOW).object
    assert paused.paused_at == NOW
    assert (
        pause_medication(
            medication_id=medication.id, by=medication.user, now=NOW + timedelta(hours=1)
        ).object.paused_at
        == NOW
    )
    assert not DoseLog.objects.exists()
    plan_due(now=NOW + timedelta(days=4))
    assert not DoseLog.objects.exists()
    resumed = resume_medication(
        medication_id=medication.id, by=medication.user, now=NOW + timedelta(days=5)
    ).object
    assert resumed.paused_at is None
    assert dates_and_times() == [(25, "25 13:00"), (26, "26 13:00")]


def test_a_pause_that_is_over_before_the_dose_changes_nothing(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    schedule_at(medication, time(13), now=NOW)
    pause_medication(medication_id=medication.id, by=medication.user, now=NOW)
    resume_medication(medication_id=medication.id, by=medication.user, now=NOW + timedelta(minutes=59))
    assert dates_and_times() == [(20, "20 13:00"), (21, "21 13:00")]


def test_a_schedule_written_during_a_pause_begins_when_it_ends(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    pause_medication(medication_id=medication.id, by=medication.user, now=NOW)
    schedule = schedule_at(medication, time(13), now=NOW)
    assert (schedule.planned_until, DoseLog.objects.count()) == (None, 0)
    resume_medication(medication_id=medication.id, by=medication.user, now=NOW)
    assert dates_and_times() == [(20, "20 13:00"), (21, "21 13:00")]


def test_an_inactive_schedule_becomes_active_again(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    update_schedule(
        schedule_id=schedule.id, by=schedule.medication.user, changes={"is_active": False}, now=NOW
    )
    assert not DoseLog.objects.exists()
    update_schedule(
        schedule_id=schedule.id, by=schedule.medication.user, changes={"is_active": True}, now=NOW
    )
    assert dates_and_times() == [(20, "20 13:00"), (21, "21 13:00")]


@pytest.mark.parametrize("touch", [take_dose, snooze_for_ten_minutes])
def test_a_dose_with_events_is_awaited_again_after_a_pause(
    ana: Credentials, touch: Callable[..., DoseResult]
) -> None:
    medication = medication_of(ana.user)
    schedule_at(medication, time(20), now=NOW)
    dose = DoseLog.objects.earliest("due_at")
    if touch(dose_id=dose.id, by=ana.user, now=NOW).object.status == "taken":
        undo_dose(dose_id=dose.id, by=ana.user, now=NOW)
    pause_medication(medication_id=medication.id, by=medication.user, now=NOW)
    resume_medication(medication_id=medication.id, by=medication.user, now=NOW + timedelta(minutes=1))
    assert settle(now=NOW + timedelta(hours=11, minutes=59)) == 0
    assert settle(now=NOW + timedelta(hours=12)) == 1


def test_a_pause_by_mistake_leaves_the_open_dose_waiting(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    schedule_at(medication, time(11), now=NOW - timedelta(hours=2))
    pause_medication(medication_id=medication.id, by=medication.user, now=NOW)
    resume_medication(medication_id=medication.id, by=medication.user, now=NOW + timedelta(minutes=1))
    assert settle(now=NOW + timedelta(hours=2, minutes=59)) == 0
    assert settle(now=NOW + timedelta(hours=3)) == 1


def test_a_dose_that_falls_due_while_an_edit_waits_for_locks_stays(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(12), now=NOW - timedelta(hours=1))
    waited = NOW - timedelta(seconds=2)
    update_schedule(
        schedule_id=schedule.id, by=schedule.medication.user, changes={"scheduled_time": time(14)}, now=waited
    )
    assert dates_and_times() == [(20, "20 12:00"), (21, "21 14:00")]


@pytest.mark.parametrize("damage", ["cycle", "zone"])
def test_a_schedule_that_was_set_aside_goes_on_where_it_stopped(ana: Credentials, damage: str) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    if damage == "cycle":
        Schedule.objects.update(cycle_type="weekly", cycle_value=None)
    else:
        User.objects.update(timezone="Nowhere/Land")
    plan_due(now=NOW + timedelta(days=3))
    assert Schedule.objects.exclude(plan_error="").exists()
    later = NOW + timedelta(days=5)
    if damage == "cycle":
        update_schedule(
            schedule_id=schedule.id, by=schedule.medication.user, changes={"cycle_type": "daily"}, now=later
        )
    else:
        update_schedule(
            schedule_id=schedule.id, by=schedule.medication.user, changes={"quantity": Decimal(2)}, now=later
        )
        update_profile(by=ana.user, changes={"timezone": "UTC"}, now=later)
    assert [day for day, _time in dates_and_times()] == [20, 21, 22, 23, 24, 25, 26]
    assert Schedule.objects.get().plan_error == ""


def test_a_damaged_schedule_stops_neither_a_move_nor_its_own_deletion(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    damaged = schedule_at(medication, time(13), now=NOW)
    schedule_at(medication, time(14), now=NOW)
    Schedule.objects.filter(id=damaged.id).update(cycle_type="weekly", cycle_value=None, plan_error="damaged")
    moves = update_profile(by=ana.user, changes={"timezone": "Europe/Paris"}, now=NOW).moves
    assert [move.due_at.hour for move in moves] == [13, 13]
    delete_schedule(schedule_id=damaged.id, by=damaged.medication.user, now=NOW)
    delete_medication(medication_id=medication.id, by=medication.user, now=NOW)
    assert not DoseLog.objects.exists()


def test_a_profile_without_another_zone_moves_nothing(ana: Credentials) -> None:
    schedule_at(medication_of(ana.user), time(13), now=NOW)
    before = list(DoseLog.objects.order_by("id").values())
    result = update_profile(by=ana.user, changes={"name": "Anna", "week_start": 7}, now=NOW)
    assert (result.object.name, result.object.week_start, result.moves) == ("Anna", 7, [])
    assert list(DoseLog.objects.order_by("id").values()) == before


def at_once(first: Callable[[], Any], second: Callable[[], Any]) -> list[BaseException | None]:
    """Both at the same time, each on a connection of its own."""
    rounds = Barrier(2)

    def run(job: Callable[[], Any]) -> None:
        rounds.wait()
        job()

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(closing(run), job) for job in (first, second)]
        return [job.exception() for job in jobs]


def create(schedule: Schedule) -> None:
    start = date(2026, 11, 20)
    create_schedule(
        medication_id=schedule.medication.id,
        by=schedule.medication.user,
        now=NOW,
        scheduled_time=time(12, 30),
        start_date=start,
    )


def edit(schedule: Schedule) -> None:
    update_schedule(
        schedule_id=schedule.id,
        by=schedule.medication.user,
        changes={"scheduled_time": time(12, 30)},
        now=NOW,
    )


def plan(schedule: Schedule) -> None:
    plan_due(now=NOW)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [create, edit, plan])
@pytest.mark.parametrize("number", range(6))
def test_in_either_order_the_doses_are_those_of_the_new_zone(
    change: Callable[[Schedule], None], number: int
) -> None:
    ana = person("Ana").user
    schedule = schedule_at(medication_of(ana), time(13), now=NOW)
    if change is plan:
        Schedule.objects.update(planned_until=utc(2026, 11, 21, 13))
        DoseLog.objects.filter(log_date=date(2026, 11, 21)).delete()
    changes = {"timezone": "Pacific/Honolulu"}
    move = partial(update_profile, by=ana, changes=changes, now=NOW)
    assert at_once(move, partial(change, schedule)) == [None, None]
    # Ten hours behind UTC; there the 20th is two hours old.
    rows = list(DoseLog.objects.values_list("log_date", "scheduled_time", "due_at"))
    for log_date, wall, due_at in rows:
        assert due_at == datetime.combine(log_date, wall or time(), UTC) + timedelta(hours=10)
    assert {log_date.day for log_date, _wall, _due_at in rows} == {20, 21}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(6))
def test_a_medication_deleted_while_a_schedule_is_written_keeps_no_doses(number: int) -> None:
    medication = medication_of(person("Ana").user)
    delete = partial(delete_medication, medication_id=medication.id, by=medication.user, now=NOW)
    errors = at_once(delete, partial(schedule_at, medication, time(13), now=NOW))
    assert errors[0] is None
    assert errors[1] is None or isinstance(errors[1], Http404)
    assert not DoseLog.objects.exists()
    assert Medication.objects.get().deleted_at == NOW
