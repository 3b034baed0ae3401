from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from uuid import uuid4

import pytest
from django.http import Http404
from rest_framework.exceptions import ValidationError

from dosing.actions.doses import (
    InvalidTransition,
    amend_dose,
    skip_dose,
    snooze_dose,
    take_dose,
    undo_dose,
)
from dosing.models import DoseEvent, DoseLog
from dosing.status import TRANSITIONS, Change, DoseStatus
from medtrack.common.problems import IdConflict
from medtrack.tests.builders import dose_due, utc
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
