from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, time, timedelta
from decimal import Decimal
from functools import partial
from threading import Barrier
from uuid import uuid4

import pytest
from django.http import Http404
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from dosing.actions.doses import (
    InvalidTransition,
    amend_dose,
    skip_dose,
    snooze_dose,
    take_dose,
    undo_dose,
)
from dosing.actions.schedules import delete_medication, delete_schedule, update_schedule
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.status import TRANSITIONS, Change, DoseStatus
from medtrack.common.problems import IdConflict
from medtrack.tests.builders import dose_due, medication_of, person, schedule_at, utc
from medtrack.tests.workers import closing
from users.actions import Credentials

NOW = utc(2026, 11, 20, 12)
ANSWERS: dict[Change, Callable[..., DoseLog]] = {
    Change.TAKE: take_dose,
    Change.SKIP: skip_dose,
    Change.UNDO: undo_dose,
    Change.SNOOZE: partial(snooze_dose, minutes=10),
    Change.AMEND: partial(amend_dose, note="with milk"),
}


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    return dose_due(ana.user, NOW)


def test_taking_a_dose_records_when_how_much_and_by_whom(ana: Credentials, dose: DoseLog) -> None:
    earlier = NOW - timedelta(minutes=7)
    taken = take_dose(
        dose_id=dose.id, by=ana.user, now=NOW, occurred_at=earlier, quantity=Decimal("0.5"), note="with milk"
    )
    assert (taken.status, taken.taken_at, taken.actual_quantity) == ("taken", earlier, Decimal("0.5"))
    event = DoseEvent.objects.get()
    assert (event.action, event.occurred_at, event.recorded_by) == ("taken", earlier, ana.user)
    assert event.payload == {"quantity": "0.5", "note": "with milk"}


def test_a_repeat_is_the_same_answer_and_one_event(ana: Credentials, dose: DoseLog) -> None:
    event_id = uuid4()
    for _ in range(3):
        assert take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id).status == "taken"
    take_dose(dose_id=dose.id, by=ana.user, now=NOW + timedelta(minutes=1))
    assert DoseEvent.objects.count() == 1
    assert DoseLog.objects.get(id=dose.id).taken_at == NOW


def test_an_old_event_replayed_after_an_undo_does_not_take_the_dose_again(
    ana: Credentials, dose: DoseLog
) -> None:
    event_id = uuid4()
    take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id)
    undo_dose(dose_id=dose.id, by=ana.user, now=NOW)
    assert take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id).status == "pending"


def test_an_event_id_belongs_to_one_dose_and_one_action(ana: Credentials, dose: DoseLog) -> None:
    other = dose_due(ana.user, NOW + timedelta(hours=1), medicine="Aspirin")
    event_id = uuid4()
    take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id)
    with pytest.raises(IdConflict):
        take_dose(dose_id=other.id, by=ana.user, now=NOW, event_id=event_id)
    with pytest.raises(IdConflict):
        undo_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id)


@pytest.mark.parametrize("status", DoseStatus)
@pytest.mark.parametrize("change", ANSWERS)
def test_only_the_tables_transitions_happen(
    ana: Credentials, dose: DoseLog, status: DoseStatus, change: Change
) -> None:
    taken_at = NOW if status == DoseStatus.TAKEN else None
    recorded_by = ana.user if status in (DoseStatus.TAKEN, DoseStatus.SKIPPED) else None
    DoseLog.objects.filter(id=dose.id).update(status=status, taken_at=taken_at, recorded_by=recorded_by)
    target = TRANSITIONS.get((status, change))
    act = ANSWERS[change]
    if target:
        assert act(dose_id=dose.id, by=ana.user, now=NOW).status == target
        assert DoseEvent.objects.count() == 1
    elif status in {outcome for (_, made), outcome in TRANSITIONS.items() if made == change}:
        assert act(dose_id=dose.id, by=ana.user, now=NOW).status == status
        assert DoseEvent.objects.count() == 0
    else:
        with pytest.raises(InvalidTransition):
            act(dose_id=dose.id, by=ana.user, now=NOW)


def test_undoing_forgets_the_answer_but_not_that_it_was_given(ana: Credentials, dose: DoseLog) -> None:
    skip_dose(dose_id=dose.id, by=ana.user, now=NOW, reason="felt sick")
    reopened = undo_dose(dose_id=dose.id, by=ana.user, now=NOW)
    assert (reopened.status, reopened.skip_reason, reopened.recorded_by) == ("pending", "", None)
    assert list(DoseEvent.objects.order_by("id").values_list("action", flat=True)) == ["skipped", "reopened"]


def test_a_dose_of_somebody_else_does_not_exist(ben: Credentials, dose: DoseLog) -> None:
    with pytest.raises(Http404):
        take_dose(dose_id=dose.id, by=ben.user, now=NOW)


def test_nothing_is_taken_in_the_future(ana: Credentials, dose: DoseLog) -> None:
    with pytest.raises(ValidationError):
        take_dose(dose_id=dose.id, by=ana.user, now=NOW, occurred_at=NOW + timedelta(hours=1))


def test_editing_a_schedule_replans_the_future_and_keeps_what_was_due(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(11), now=NOW - timedelta(hours=2))
    take_dose(dose_id=DoseLog.objects.get(due_at=utc(2026, 11, 20, 11)).id, by=ana.user, now=NOW)
    update_schedule(schedule=schedule, changes={"scheduled_time": time(18)}, now=NOW)
    rows = list(DoseLog.objects.order_by("due_at").values_list("due_at", "status", "scheduled_time"))
    # The 20th has its dose already: one occurrence per schedule and local date.
    assert rows == [
        (utc(2026, 11, 20, 11), "taken", time(11)),
        (utc(2026, 11, 21, 18), "pending", time(18)),
    ]


def test_deleting_a_schedule_keeps_its_history_and_ends_its_future(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(11), now=NOW - timedelta(hours=2))
    delete_schedule(schedule=schedule, now=NOW)
    assert list(DoseLog.objects.values_list("due_at", flat=True)) == [utc(2026, 11, 20, 11)]
    schedule.refresh_from_db()
    assert (schedule.deleted_at, schedule.next_due_at, schedule.is_active) == (NOW, None, False)


def test_deleting_a_medication_ends_all_its_schedules(ana: Credentials) -> None:
    medication = medication_of(ana.user)
    for hour in (11, 19):
        schedule_at(medication, time(hour), now=NOW - timedelta(hours=2))
    delete_medication(medication=medication, now=NOW)
    assert list(DoseLog.objects.values_list("due_at", flat=True)) == [utc(2026, 11, 20, 11)]
    assert not Schedule.objects.filter(deleted_at=None).exists()
    with pytest.raises(Http404):
        schedule_at(medication, time(9), now=NOW)


def test_an_undone_future_dose_is_history_and_stays(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    early = DoseLog.objects.earliest("due_at")
    take_dose(dose_id=early.id, by=ana.user, now=NOW)
    undo_dose(dose_id=early.id, by=ana.user, now=NOW)
    update_schedule(schedule=schedule, changes={"scheduled_time": time(14)}, now=NOW)
    assert list(DoseLog.objects.order_by("due_at").values_list("due_at", flat=True)) == [
        utc(2026, 11, 20, 13),
        utc(2026, 11, 21, 14),
    ]


def test_the_present_moment_is_no_business_of_the_past(ana: Credentials) -> None:
    """A dose due a second ago is not re-planned by an edit now."""
    now = timezone.now()
    dose = dose_due(ana.user, now.replace(second=0, microsecond=0) - timedelta(minutes=1))
    schedule = Schedule.objects.get(doses=dose)
    update_schedule(schedule=schedule, changes={"quantity": Decimal(2), "end_date": None}, now=now)
    assert DoseLog.objects.filter(id=dose.id, quantity=1).exists()


def test_an_edit_that_changes_no_rule_leaves_the_doses_alone(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    before = set(DoseLog.objects.values_list("id", flat=True))
    for changes in ({}, {"scheduled_time": time(13)}, {"reminder_enabled": False}):
        schedule = update_schedule(schedule=schedule, changes=changes, now=NOW)
    assert set(DoseLog.objects.values_list("id", flat=True)) == before
    assert schedule.version == 2


def test_a_deleted_schedule_cannot_be_edited(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    delete_schedule(schedule=schedule, now=NOW)
    with pytest.raises(Http404):
        update_schedule(schedule=schedule, changes={"is_active": True}, now=NOW)


def test_an_edit_is_checked_against_the_row_as_it_is_now(ana: Credentials) -> None:
    schedule = schedule_at(medication_of(ana.user), time(13), now=NOW)
    stale = Schedule.objects.get(id=schedule.id)
    update_schedule(schedule=schedule, changes={"end_date": date(2026, 12, 1)}, now=NOW)
    with pytest.raises(ValidationError):
        update_schedule(schedule=stale, changes={"start_date": date(2026, 12, 2)}, now=NOW)


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
        update_schedule(schedule=schedule, changes={"scheduled_time": time(hour)}, now=NOW)

    for hour in range(14, 23):
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(closing(edit), hour), pool.submit(closing(take))]
            errors = [job.exception() for job in jobs]
        # Whoever was first, nobody saw anything but "it is gone".
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
        update_schedule(schedule=schedule, changes={"scheduled_time": time(18)}, now=later)
    else:
        delete_schedule(schedule=schedule, now=later)
    due = DoseLog.objects.filter(due_at__lt=later).order_by("due_at")
    assert [dose.log_date.day for dose in due] == [20, 21, 22, 23, 24]
