"""Changing, archiving and bringing back a medication, with the record of who did it."""

from datetime import time, timedelta
from typing import Any

import pytest

from dosing.actions.medications import update_medication
from dosing.actions.schedules import update_schedule
from dosing.models import DoseLog
from dosing.settling import settle
from medications.models import Medication, MedicationEvent
from medtrack.tests.support.builders import medication_of, schedule_at, utc
from users.actions import Credentials

NOW = utc(2026, 11, 20, 7)
DUE = utc(2026, 11, 20, 8)


@pytest.fixture
def medication(ana: Credentials) -> Medication:
    medication = medication_of(ana.user, strength="5 mg", dosage="one", now=NOW)
    schedule_at(medication, time(8), now=NOW)
    return medication


def change(medication: Medication, *, now: Any = NOW, **changes: Any) -> Medication:
    return update_medication(medication_id=medication.id, by=medication.user, changes=changes, now=now).object


def test_a_change_says_what_the_medication_was_before(medication: Medication) -> None:
    later = NOW + timedelta(hours=1)
    changed = change(medication, strength="10 mg", memo="with food", now=later)
    assert (changed.version, changed.described_at) == (2, later)
    event = MedicationEvent.objects.get(action="changed")
    assert (event.recorded_by, event.recorded_at) == (medication.user, later)
    assert event.changes == {"strength": ["5 mg", "10 mg"], "memo": ["", "with food"]}
    assert event.description == {
        "name": "Metformin",
        "dosage": "one",
        "form": "tablet",
        "strength": "5 mg",
        "unit": "",
    }


def test_other_fields_leave_the_description(medication: Medication) -> None:
    changed = change(medication, memo="with food", color_tag="#000000")
    assert (changed.version, changed.described_at) == (2, None)
    assert MedicationEvent.objects.get(action="changed").description is None


def test_a_change_that_changes_nothing_is_none(medication: Medication) -> None:
    updated_at = medication.updated_at
    for same in ({}, {"strength": "5 mg"}, {"is_active": True}):
        change(medication, **same)
    medication.refresh_from_db()
    assert (medication.version, medication.updated_at) == (1, updated_at)
    assert set(MedicationEvent.objects.values_list("action", flat=True)) == {"created", "schedule_created"}


def test_an_archived_medication_has_no_doses_and_what_was_due_is_not_missed(medication: Medication) -> None:
    due = DoseLog.objects.get(due_at=DUE)
    change(medication, is_active=False, now=DUE + timedelta(hours=1))
    assert settle(now=DUE + timedelta(days=2)) == 0
    due.refresh_from_db()
    assert (due.status, due.withdrawn_at) == ("pending", DUE + timedelta(hours=1))
    assert not DoseLog.objects.exclude(id=due.id).exists()
    back = DUE + timedelta(days=2, hours=1)
    restored = change(medication, is_active=True, now=back)
    assert restored.version == 3
    due.refresh_from_db()
    assert due.withdrawn_at is not None
    coming = DoseLog.objects.exclude(id=due.id).order_by("due_at").values_list("due_at", flat=True)
    assert list(coming) == [DUE + timedelta(days=3)]
    actions = MedicationEvent.objects.filter(action__in=["archived", "restored"]).order_by("recorded_at")
    assert [(event.action, event.changes) for event in actions] == [
        ("archived", {"is_active": [True, False]}),
        ("restored", {"is_active": [False, True]}),
    ]


def test_an_archive_that_also_changes_the_name_keeps_the_description(medication: Medication) -> None:
    change(medication, is_active=False, name="Metformin XR")
    event = MedicationEvent.objects.get(action="archived")
    assert event.changes == {"is_active": [True, False], "name": ["Metformin", "Metformin XR"]}
    assert event.description is not None
    assert event.description["name"] == "Metformin"


def test_a_change_of_a_schedule_is_recorded_as_the_api_shows_it(medication: Medication) -> None:
    (schedule,) = medication.schedules.all()
    changes = {"scheduled_time": time(9, 30), "cycle_type": "interval", "cycle_value": {"every": 2}}
    for _ in range(2):
        update_schedule(schedule_id=schedule.id, by=medication.user, changes=changes, now=NOW)
    event = MedicationEvent.objects.get(action="schedule_changed")
    assert (event.schedule_id, event.medication_id) == (schedule.id, medication.id)
    assert event.changes == {
        "scheduled_time": ["08:00", "09:30"],
        "cycle_type": ["daily", "interval"],
        "cycle_value": [None, {"every": 2}],
    }
    schedule.refresh_from_db()
    assert schedule.version == 2
