"""Pauses: which doses they leave out, how they end by themselves, and that a short one loses none."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from dosing.actions.doses import snooze_dose, take_dose, undo_dose
from dosing.actions.medications import update_medication
from dosing.actions.schedules import (
    create_schedule,
    end_pause_that_is_over,
    pause_medication,
    resume_medication,
)
from dosing.models import DoseLog
from dosing.planning import plan_due
from dosing.settling import settle
from dosing.tasks import end_pauses
from medications.models import Medication, MedicationEvent
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import medication_of, person, schedule_at, utc
from medtrack.tests.support.workers import in_another_worker
from users.actions import Credentials, lock_user

NOW = utc(2026, 11, 20, 7)
DUE = utc(2026, 11, 20, 8)


@pytest.fixture
def medication(ana: Credentials) -> Medication:
    """It is due at 08:00 every day."""
    medication = medication_of(ana.user)
    schedule_at(medication, time(8), now=NOW)
    return medication


def pause(medication: Medication, now: datetime, until: datetime | None = None) -> bool:
    return pause_medication(medication_id=medication.id, by=medication.user, now=now, until=until).changed


def resume(medication: Medication, now: datetime) -> bool:
    return resume_medication(medication_id=medication.id, by=medication.user, now=now).changed


def due_instants() -> list[datetime | None]:
    return list(DoseLog.objects.filter(withdrawn_at=None).order_by("due_at").values_list("due_at", flat=True))


def test_a_pause_of_seconds_over_the_due_minute_loses_no_dose(medication: Medication) -> None:
    (dose, *_) = DoseLog.objects.order_by("due_at")
    pause(medication, DUE - timedelta(seconds=10))
    assert DUE not in due_instants()
    resume(medication, DUE + timedelta(seconds=10))
    again = DoseLog.objects.get(due_at=DUE)
    assert (again.id, again.status, again.answer_by) == (dose.id, "pending", DUE + timedelta(hours=4))


def test_a_pause_of_half_an_hour_is_a_short_one(medication: Medication) -> None:
    pause(medication, DUE - timedelta(minutes=1))
    resume(medication, DUE + timedelta(minutes=29))
    assert DoseLog.objects.get(due_at=DUE).status == "pending"


def test_a_dose_that_was_touched_comes_back_after_a_short_pause(medication: Medication) -> None:
    (dose, *_) = DoseLog.objects.order_by("due_at")
    take_dose(dose_id=dose.id, by=medication.user, now=DUE - timedelta(minutes=5))
    undo_dose(dose_id=dose.id, by=medication.user, now=DUE - timedelta(minutes=4))
    pause(medication, DUE - timedelta(seconds=10))
    resume(medication, DUE + timedelta(minutes=10))
    dose.refresh_from_db()
    assert (dose.status, dose.withdrawn_at) == ("pending", None)
    assert dose.answer_by is not None
    assert dose.answer_by >= DUE + timedelta(hours=4)


@pytest.mark.parametrize("minutes", [1, 30, 31, 120])
def test_a_pause_inside_the_answer_window_leaves_the_dose_as_it_was(
    medication: Medication, minutes: int
) -> None:
    before = DoseLog.objects.filter(due_at=DUE).values().get()
    pause(medication, DUE + timedelta(minutes=30))
    resume(medication, DUE + timedelta(minutes=30 + minutes))
    assert DoseLog.objects.filter(due_at=DUE).values().get() == before


def test_an_undone_answer_is_awaited_as_long_after_a_pause_as_before(medication: Medication) -> None:
    dose = DoseLog.objects.get(due_at=DUE)
    until = DUE + timedelta(hours=15)
    DoseLog.objects.filter(id=dose.id).update(reopened_until=until, answer_by=until)
    pause(medication, DUE + timedelta(hours=6))
    resume(medication, DUE + timedelta(hours=7))
    dose.refresh_from_db()
    assert (dose.withdrawn_at, dose.answer_by) == (None, until)


def test_doses_of_a_long_pause_are_not_planned_later_and_never_missed(medication: Medication) -> None:
    pause(medication, DUE - timedelta(minutes=1))
    resume(medication, DUE + timedelta(minutes=30))
    assert due_instants() == [DUE + timedelta(days=1)]
    plan_due(now=DUE + timedelta(hours=5))
    settle(now=DUE + timedelta(hours=5))
    assert not DoseLog.objects.filter(due_at=DUE).exists()
    assert not DoseLog.objects.filter(status="missed").exists()


def test_a_pause_with_an_end_plans_the_doses_after_it_at_once(medication: Medication) -> None:
    pause(medication, NOW, until=utc(2026, 11, 21, 8))
    assert due_instants() == [utc(2026, 11, 21, 8)]
    pause(medication, NOW, until=utc(2026, 11, 21, 8, 1))
    assert due_instants() == []
    plan_due(now=utc(2026, 11, 21, 8, 1))
    assert due_instants() == [utc(2026, 11, 22, 8)]


def test_a_second_pause_changes_the_end_and_not_the_beginning(medication: Medication) -> None:
    for minute, until in enumerate([None, utc(2026, 11, 21, 7), utc(2026, 11, 20, 7, 30), None]):
        at = NOW + timedelta(minutes=minute)
        assert pause(medication, at, until)
        assert not pause(medication, at, until)
        medication.refresh_from_db()
        assert (medication.paused_at, medication.paused_until) == (NOW, until)
    assert due_instants() == []
    assert medication.version == 5
    events = MedicationEvent.objects.filter(action="paused").order_by("recorded_at")
    assert [event.changes["paused_until"] for event in events if "paused_until" in event.changes] == [
        [None, "2026-11-21T07:00:00Z"],
        ["2026-11-21T07:00:00Z", "2026-11-20T07:30:00Z"],
        ["2026-11-20T07:30:00Z", None],
    ]


def test_a_pause_ends_by_itself_once(medication: Medication, monkeypatch: pytest.MonkeyPatch) -> None:
    until = DUE + timedelta(hours=2)
    pause(medication, NOW, until=until)
    for seconds, version, action in ((-1, 2, "paused"), (0, 3, "resumed"), (60, 3, "resumed")):
        at = until + timedelta(seconds=seconds)
        monkeypatch.setattr("dosing.tasks.database_now", lambda at=at: at)
        end_pauses()
        medication.refresh_from_db()
        last = MedicationEvent.objects.latest("id")
        assert (medication.version, last.action) == (version, action)
    assert (medication.paused_at, medication.paused_until) == (None, None)
    assert (last.recorded_by, last.recorded_at) == (None, until)
    assert last.changes["paused_until"] == ["2026-11-20T10:00:00Z", None]
    assert due_instants() == [DUE + timedelta(days=1)]


def test_a_short_pause_that_ends_by_itself_loses_no_dose(medication: Medication) -> None:
    until = DUE + timedelta(seconds=10)
    pause(medication, DUE - timedelta(seconds=10), until=until)
    # The task may have been late.
    assert end_pause_that_is_over(medication_id=medication.id, now=until + timedelta(minutes=45))
    assert DoseLog.objects.get(due_at=DUE).status == "pending"


def test_a_new_pause_does_not_wait_for_the_task(medication: Medication) -> None:
    pause(medication, NOW, until=NOW + timedelta(minutes=1))
    later = NOW + timedelta(minutes=2)
    assert pause(medication, later)
    medication.refresh_from_db()
    assert (medication.paused_at, medication.paused_until) == (later, None)
    actions = MedicationEvent.objects.filter(recorded_at=later).order_by("id")
    assert [(event.action, event.recorded_by) for event in actions] == [
        ("resumed", None),
        ("paused", medication.user),
    ]


def test_a_schedule_that_is_made_in_a_pause_begins_after_it(medication: Medication) -> None:
    pause(medication, NOW, until=utc(2026, 11, 20, 20))
    for hour in (19, 21):
        create_schedule(medication_id=medication.id, by=medication.user, now=NOW, scheduled_time=time(hour))
    assert due_instants()[0] == utc(2026, 11, 20, 21)


def test_a_snooze_outlasts_a_pause(medication: Medication) -> None:
    dose = DoseLog.objects.get(due_at=DUE)
    snooze_dose(dose_id=dose.id, by=medication.user, now=DUE, minutes=30)
    pause(medication, DUE + timedelta(minutes=1), until=DUE + timedelta(minutes=5))
    assert end_pause_that_is_over(medication_id=medication.id, now=DUE + timedelta(minutes=6))
    dose.refresh_from_db()
    assert (dose.status, dose.withdrawn_at, dose.answer_by) == ("pending", None, DUE + timedelta(hours=4))
    assert dose.snoozed_until == DUE + timedelta(minutes=30)


def test_what_is_archived_is_not_snoozed_any_more(medication: Medication) -> None:
    dose = DoseLog.objects.get(due_at=DUE)
    snooze_dose(dose_id=dose.id, by=medication.user, now=DUE, minutes=30)
    update_medication(medication_id=medication.id, by=medication.user, changes={"is_active": False}, now=DUE)
    dose.refresh_from_db()
    assert (dose.withdrawn_at, dose.snoozed_until) == (DUE, None)


@pytest.mark.django_db(transaction=True)
def test_a_pause_of_somebody_who_is_writing_ends_in_the_next_minute() -> None:
    ana = person("Ana").user
    medication = medication_of(ana)
    pause(medication, NOW, until=DUE)

    def end() -> bool:
        return end_pause_that_is_over(medication_id=medication.id, now=DUE)

    with transaction.atomic():
        lock_user(ana.id)
        assert not in_another_worker(end)
    assert in_another_worker(end)
    assert not in_another_worker(end)


# Through the API


def test_pausing_until_an_instant_through_the_api(as_ana: Client, ana: Credentials) -> None:
    path = f"/api/v1/medications/{medication_of(ana.user).id}"
    until = (timezone.now() + timedelta(days=3)).replace(microsecond=0)
    shown = as_ana.post(f"{path}/pause", {"until": until.isoformat()}, format="json").json()
    assert shown["paused_at"] is not None
    assert shown["paused_until"] == f"{until:%Y-%m-%dT%H:%M:%SZ}"
    assert as_ana.post(f"{path}/pause", {"until": None}, format="json").json()["paused_until"] is None
    resumed = as_ana.post(f"{path}/resume").json()
    assert (resumed["paused_at"], resumed["paused_until"], resumed["version"]) == (None, None, 4)


@pytest.mark.parametrize("until", ["2020-01-01T00:00:00Z", "tomorrow", "2030-01-01", 5])
def test_a_pause_ends_at_an_instant_to_come(as_ana: Client, ana: Credentials, until: Any) -> None:
    path = f"/api/v1/medications/{medication_of(ana.user).id}/pause"
    refused = as_ana.post(path, {"until": until}, format="json")
    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["until"]
    assert Medication.objects.get().paused_at is None


def test_a_pause_is_over_before_the_task_has_run(as_ana: Client, ana: Credentials) -> None:
    medication = medication_of(ana.user)
    now = timezone.now()
    Medication.objects.update(paused_at=now - timedelta(days=1), paused_until=now - timedelta(seconds=1))
    shown = as_ana.get(f"/api/v1/medications/{medication.id}").json()
    assert (shown["paused_at"], shown["paused_until"]) == (None, None)
    for asked, number in (("true", 0), ("false", 1)):
        assert len(as_ana.get(f"/api/v1/medications?is_paused={asked}").json()["results"]) == number
    Medication.objects.update(paused_until=now + timedelta(days=1))
    for asked, number in (("true", 1), ("false", 0)):
        assert len(as_ana.get(f"/api/v1/medications?is_paused={asked}").json()["results"]) == number
