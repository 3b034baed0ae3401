from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta
from decimal import Decimal
from functools import partial
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.http import Http404
from rest_framework.exceptions import ValidationError

from dosing.actions.doses import (
    DoseResult,
    amend_dose,
    skip_dose,
    snooze_dose,
    take_dose,
    undo_dose,
)
from dosing.actions.intakes import log_intake
from dosing.actions.schedules import pause_medication
from dosing.as_needed import IntakeTooSoon
from dosing.days import take_planned_dose
from dosing.models import DoseEvent, DoseLog
from dosing.refusals import AlreadyRecorded, InvalidTransition
from dosing.settling import settle
from dosing.status import TRANSITIONS, Change, DoseStatus
from medtrack.http.problems import IdConflict
from medtrack.tests.support.builders import dose_due, medication_of, person, schedule_at, session_of, utc
from medtrack.tests.support.workers import closing
from users.actions import Credentials
from users.tokens import AccessClaims

NOW = utc(2026, 11, 20, 12)
ANSWERS: dict[Change, Callable[..., DoseResult]] = {
    Change.TAKE: take_dose,
    Change.SKIP: skip_dose,
    Change.UNDO: undo_dose,
    Change.SNOOZE: partial(snooze_dose, minutes=10),
    Change.AMEND: partial(amend_dose, note="with milk"),
}


# What was done already is answered like the first time.
REPEATS = [(DoseStatus.TAKEN, Change.TAKE), (DoseStatus.SKIPPED, Change.SKIP)]
HOUR = timedelta(hours=1)


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    return dose_due(ana.user, NOW)


def test_taking_a_dose_records_when_how_much_and_by_whom(ana: Credentials, dose: DoseLog) -> None:
    earlier = NOW - timedelta(minutes=7)
    taken = take_dose(
        dose_id=dose.id, by=ana.user, now=NOW, occurred_at=earlier, quantity=Decimal("0.5"), note="with milk"
    ).object
    assert (taken.status, taken.taken_at, taken.actual_quantity) == ("taken", earlier, Decimal("0.5"))
    event = DoseEvent.objects.get()
    assert (event.action, event.occurred_at, event.recorded_by) == ("taken", earlier, ana.user)
    assert event.payload == {"quantity": "0.5", "note": "with milk"}


def test_a_repeat_is_the_same_answer_and_one_event(ana: Credentials, dose: DoseLog) -> None:
    event_id = uuid4()
    for _ in range(3):
        assert take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id).object.status == "taken"
    take_dose(dose_id=dose.id, by=ana.user, now=NOW + timedelta(minutes=1))
    assert DoseEvent.objects.count() == 1
    assert DoseLog.objects.get(id=dose.id).taken_at == NOW


def test_an_old_event_replayed_after_an_undo_does_not_take_the_dose_again(
    ana: Credentials, dose: DoseLog
) -> None:
    event_id = uuid4()
    take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id)
    undo_dose(dose_id=dose.id, by=ana.user, now=NOW)
    assert take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id).object.status == "pending"


def test_an_event_id_belongs_to_one_dose_and_one_action(ana: Credentials, dose: DoseLog) -> None:
    other = dose_due(ana.user, NOW + timedelta(hours=1), medicine="Aspirin")
    event_id = uuid4()
    take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id)
    with pytest.raises(IdConflict):
        take_dose(dose_id=other.id, by=ana.user, now=NOW, event_id=event_id)
    with pytest.raises(IdConflict):
        undo_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id)
    with pytest.raises(IdConflict):
        take_dose(dose_id=dose.id, by=ana.user, now=NOW, event_id=event_id, quantity=Decimal(2))


@pytest.mark.parametrize("status", DoseStatus)
@pytest.mark.parametrize("change", ANSWERS)
def test_only_the_tables_transitions_happen(
    ana: Credentials, dose: DoseLog, status: DoseStatus, change: Change
) -> None:
    taken_at = NOW if status == DoseStatus.TAKEN else None
    recorded_by = ana.user if status in (DoseStatus.TAKEN, DoseStatus.SKIPPED) else None
    # Undoing a pending dose is undoing its snooze.
    is_snoozed = (status, change) == (DoseStatus.PENDING, Change.UNDO)
    DoseLog.objects.filter(id=dose.id).update(
        status=status,
        taken_at=taken_at,
        recorded_by=recorded_by,
        snoozed_until=NOW + timedelta(minutes=9) if is_snoozed else None,
    )
    target = TRANSITIONS.get((status, change))
    act = ANSWERS[change]
    if (status, change) in REPEATS:
        assert not act(dose_id=dose.id, by=ana.user, now=NOW).changed
    elif target:
        assert act(dose_id=dose.id, by=ana.user, now=NOW).object.status == target
        assert DoseEvent.objects.count() == 1
    else:
        with pytest.raises(InvalidTransition) as refused:
            act(dose_id=dose.id, by=ana.user, now=NOW)
        assert refused.value.members == {"dose_status": status}


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (DoseStatus.TAKEN, "This dose was taken. Undo that first."),
        (DoseStatus.SKIPPED, "This dose was skipped. Undo that first."),
        (DoseStatus.MISSED, "This dose was missed. It can still be taken or skipped."),
    ],
)
def test_a_refusal_names_the_state_and_the_way_out(
    ana: Credentials, dose: DoseLog, status: DoseStatus, sentence: str
) -> None:
    if status == DoseStatus.MISSED:
        settle(now=NOW + timedelta(days=1))
    else:
        ANSWERS[Change.TAKE if status == DoseStatus.TAKEN else Change.SKIP](
            dose_id=dose.id, by=ana.user, now=NOW
        )
    with pytest.raises(InvalidTransition) as refused:
        snooze_dose(dose_id=dose.id, by=ana.user, now=NOW + timedelta(days=1), minutes=10)
    assert str(refused.value.detail) == sentence


@pytest.mark.parametrize(
    ("again", "is_repeat"),
    [
        ({}, True),
        ({"quantity": Decimal(1)}, True),
        ({"note": "with milk"}, True),
        ({"occurred_at": NOW - timedelta(minutes=15)}, True),
        ({"occurred_at": NOW - timedelta(minutes=16)}, False),
        ({"quantity": Decimal(2)}, False),
        ({"note": "with water"}, False),
        ({"by": "ben"}, False),
    ],
)
def test_another_statement_about_a_taken_dose_is_a_repeat_or_refused(
    ana: Credentials, ben: Credentials, dose: DoseLog, again: dict[str, Any], is_repeat: bool
) -> None:
    take_dose(dose_id=dose.id, by=ana.user, now=NOW, note="with milk")
    if again.get("by") == "ben":
        again = {}
        DoseLog.objects.update(recorded_by=ben.user)
    before = list(DoseLog.objects.values())
    command: Any = {"dose_id": dose.id, "by": ana.user, "now": NOW + timedelta(hours=2), **again}
    if is_repeat:
        assert not take_dose(**command).changed
    else:
        with pytest.raises(AlreadyRecorded) as refused:
            take_dose(**command)
        recorded = refused.value.members["recorded"]
        assert (recorded["status"], recorded["occurred_at"], recorded["quantity"]) == ("taken", NOW, "1")
        assert recorded["recorded_by"] == str(before[0]["recorded_by_id"])
    assert list(DoseLog.objects.values()) == before
    assert DoseEvent.objects.count() == 1


def test_ones_own_skip_is_taken_and_that_of_another_person_only_with_an_override(
    ana: Credentials, ben: Credentials, dose: DoseLog
) -> None:
    skip_dose(dose_id=dose.id, by=ana.user, now=NOW, reason="felt sick")
    taken = take_dose(dose_id=dose.id, by=ana.user, now=NOW).object
    assert (taken.status, taken.skip_reason, taken.skipped_at) == ("taken", "", None)
    undo_dose(dose_id=dose.id, by=ana.user, now=NOW)
    skip_dose(dose_id=dose.id, by=ana.user, now=NOW)
    DoseLog.objects.update(recorded_by=ben.user)
    with pytest.raises(AlreadyRecorded):
        take_dose(dose_id=dose.id, by=ana.user, now=NOW)
    assert take_dose(dose_id=dose.id, by=ana.user, now=NOW, override=True).object.status == "taken"


def test_what_happens_up_to_five_minutes_ahead_happened_now(ana: Credentials, dose: DoseLog) -> None:
    ahead = NOW + timedelta(minutes=5)
    assert take_dose(dose_id=dose.id, by=ana.user, now=NOW, occurred_at=ahead).object.taken_at == NOW
    amended = amend_dose(dose_id=dose.id, by=ana.user, now=NOW, taken_at=ahead, note="x").object
    assert amended.taken_at == NOW
    with pytest.raises(ValidationError):
        amend_dose(dose_id=dose.id, by=ana.user, now=NOW, taken_at=ahead + timedelta(seconds=1))


def test_amending_an_intake_keeps_the_limits_of_taking_it(ana: Credentials) -> None:
    medication = medication_of(ana.user, "Ibuprofen")
    limits = {"min_gap_minutes": 240}
    schedule_at(medication, time(0), now=NOW, cycle_type="as_needed", cycle_value=limits)
    first, second = (
        log_intake(medication_id=medication.id, by=ana.user, now=NOW, taken_at=NOW - hours * HOUR).object
        for hours in (8, 1)
    )
    command: Any = {"dose_id": second.id, "by": ana.user, "now": NOW, "taken_at": NOW - 5 * HOUR}
    with pytest.raises(IntakeTooSoon):
        amend_dose(**command)
    assert amend_dose(**command, override=True).object.taken_at == NOW - 5 * HOUR
    assert DoseEvent.objects.get(action="amended").payload["override"] == "IntakeTooSoon"
    # A note changes nothing that has a limit.
    assert amend_dose(dose_id=first.id, by=ana.user, now=NOW, note="late").changed


def test_every_change_of_a_user_is_in_the_table_and_has_its_event() -> None:
    assert {change for _status, change in TRANSITIONS} == {*ANSWERS, Change.MISS}


def test_snoozing_puts_the_dose_off_and_leaves_it_pending(ana: Credentials, dose: DoseLog) -> None:
    later = NOW + timedelta(minutes=5)
    snoozed = snooze_dose(dose_id=dose.id, by=ana.user, now=later, minutes=15).object
    assert (snoozed.status, snoozed.snoozed_until) == ("pending", NOW + timedelta(minutes=20))
    event = DoseEvent.objects.get()
    assert (event.action, event.payload) == ("snoozed", {"minutes": "15"})
    taken = take_dose(dose_id=dose.id, by=ana.user, now=later).object
    assert (taken.status, taken.snoozed_until) == ("taken", None)


def test_a_snooze_before_the_time_counts_from_the_time(ana: Credentials, dose: DoseLog) -> None:
    snoozed = snooze_dose(dose_id=dose.id, by=ana.user, now=NOW - timedelta(hours=1), minutes=15).object
    assert snoozed.snoozed_until == NOW + timedelta(minutes=15)


def test_the_same_snooze_while_it_lasts_is_a_repeat_and_another_one_is_not(
    ana: Credentials, dose: DoseLog
) -> None:
    minutes_later = [(0, 10), (3, 10), (4, 30), (34, 30), (35, 30)]
    ends = []
    for minute, length in minutes_later:
        now = NOW + timedelta(minutes=minute)
        snoozed = snooze_dose(dose_id=dose.id, by=ana.user, now=now, minutes=length).object
        assert snoozed.snoozed_until
        ends.append((snoozed.snoozed_until - NOW) // timedelta(minutes=1))
    assert ends == [10, 10, 34, 64, 64]
    assert DoseEvent.objects.count() == 3


def test_a_snooze_with_an_event_id_of_its_own_is_another_one(ana: Credentials, dose: DoseLog) -> None:
    for minute in (0, 9):
        now = NOW + timedelta(minutes=minute)
        snoozed = snooze_dose(dose_id=dose.id, by=ana.user, now=now, minutes=10, event_id=uuid4()).object
    assert snoozed.snoozed_until == NOW + timedelta(minutes=19)


def test_a_dose_that_is_no_longer_awaited_cannot_be_snoozed(ana: Credentials, dose: DoseLog) -> None:
    pause_medication(medication_id=dose.medication.id, by=dose.medication.user, now=NOW)
    with pytest.raises(InvalidTransition):
        snooze_dose(dose_id=dose.id, by=ana.user, now=NOW, minutes=10)


def test_a_dose_cannot_be_snoozed_until_it_is_missed(ana: Credentials, dose: DoseLog) -> None:
    """Its reminder needs five minutes."""
    late = NOW + timedelta(hours=3, minutes=45)
    with pytest.raises(ValidationError) as refused:
        snooze_dose(dose_id=dose.id, by=ana.user, now=late, minutes=11)
    assert refused.value.get_codes() == {"minutes": ["after_answer_window"]}
    assert "at most 10:" in str(refused.value.detail)
    snoozed = snooze_dose(dose_id=dose.id, by=ana.user, now=late, minutes=10).object
    assert snoozed.snoozed_until == NOW + timedelta(hours=3, minutes=55)
    with pytest.raises(ValidationError) as too_late:
        snooze_dose(dose_id=dose.id, by=ana.user, now=late + timedelta(minutes=10), minutes=1)
    assert "too late" in str(too_late.value.detail)


def test_a_missed_dose_is_taken_late_at_the_time_it_was_taken(ana: Credentials, dose: DoseLog) -> None:
    tomorrow = NOW + timedelta(days=1)
    assert settle(now=tomorrow) == 1
    taken = take_dose(dose_id=dose.id, by=ana.user, now=tomorrow, occurred_at=NOW + timedelta(hours=1)).object
    event = DoseEvent.objects.get()
    assert (taken.status, taken.taken_at, taken.log_date) == (
        "taken",
        NOW + timedelta(hours=1),
        dose.log_date,
    )
    assert (event.occurred_at, event.recorded_at) == (NOW + timedelta(hours=1), tomorrow)


def test_amending_corrects_only_what_is_sent_and_keeps_the_recorder(
    ana: Credentials, ben: Credentials, dose: DoseLog
) -> None:
    take_dose(dose_id=dose.id, by=ana.user, now=NOW, quantity=Decimal(2), note="with milk")
    earlier = NOW - timedelta(minutes=30)
    for _ in range(2):
        amended = amend_dose(dose_id=dose.id, by=ana.user, now=NOW, taken_at=earlier, note="").object
    assert (amended.status, amended.taken_at, amended.note) == ("taken", earlier, "")
    assert (amended.actual_quantity, amended.recorded_by) == (Decimal(2), ana.user)
    events = DoseEvent.objects.order_by("id").values_list("action", "payload")
    assert list(events) == [
        ("taken", {"quantity": "2", "note": "with milk"}),
        ("amended", {"taken_at": str(earlier), "note": ""}),
    ]


@pytest.mark.parametrize(
    ("answer", "detail", "field"),
    [
        (skip_dose, {"taken_at": NOW}, "taken_at"),
        (skip_dose, {"quantity": Decimal(2), "note": "x"}, "quantity"),
        (take_dose, {"reason": "felt sick"}, "reason"),
        (take_dose, {"taken_at": NOW + timedelta(hours=1)}, "taken_at"),
    ],
)
def test_an_answer_has_only_its_own_details(
    ana: Credentials, dose: DoseLog, answer: Callable[..., DoseResult], detail: dict[str, Any], field: str
) -> None:
    answer(dose_id=dose.id, by=ana.user, now=NOW)
    before = list(DoseLog.objects.values())
    with pytest.raises(ValidationError) as refused:
        amend_dose(dose_id=dose.id, by=ana.user, now=NOW, **detail)
    codes: Any = refused.value.get_codes()
    assert list(codes) == [field]
    assert list(DoseLog.objects.values()) == before


@pytest.mark.parametrize("change", [Change.TAKE, Change.SKIP, Change.UNDO])
def test_what_was_done_already_is_answered_again_and_changes_nothing(
    ana: Credentials, dose: DoseLog, change: Change
) -> None:
    if change == Change.UNDO:
        take_dose(dose_id=dose.id, by=ana.user, now=NOW)
    first = ANSWERS[change](dose_id=dose.id, by=ana.user, now=NOW)
    before = [list(model.objects.values()) for model in (DoseLog, DoseEvent)]
    again = ANSWERS[change](dose_id=dose.id, by=ana.user, now=NOW + timedelta(minutes=1), event_id=uuid4())
    assert again.object.status == first.object.status
    assert [list(model.objects.values()) for model in (DoseLog, DoseEvent)] == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(4))
def test_of_two_answers_at_once_taking_is_the_answer(number: int) -> None:
    """Taken first, it cannot be skipped; skipped first, it is taken."""
    ana = person("Ana").user
    dose = dose_due(ana, NOW)
    rounds = Barrier(2)

    def answer(act: Callable[..., DoseResult]) -> None:
        rounds.wait()
        act(dose_id=dose.id, by=ana, now=NOW)

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(closing(answer), act) for act in (take_dose, skip_dose)]
        errors = sorted(type(job.exception()).__name__ for job in jobs)
    assert errors in (["InvalidTransition", "NoneType"], ["NoneType", "NoneType"])
    events = list(DoseEvent.objects.order_by("action").values_list("action", flat=True))
    assert events == (["taken"] if "InvalidTransition" in errors else ["skipped", "taken"])
    assert DoseLog.objects.get().status == "taken"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(4))
def test_one_event_id_for_two_doses_at_once_is_a_conflict_for_one(number: int) -> None:
    ana = person("Ana").user
    doses = [dose_due(ana, NOW, medicine=name) for name in ("Metformin", "Aspirin")]
    event_id, rounds = uuid4(), Barrier(2)

    def take(dose: DoseLog) -> None:
        rounds.wait()
        take_dose(dose_id=dose.id, by=ana, now=NOW, event_id=event_id)

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(closing(take), dose) for dose in doses]
        errors = sorted(type(job.exception()).__name__ for job in jobs)
    assert errors == ["IdConflict", "NoneType"]


def test_undoing_forgets_the_answer_but_not_that_it_was_given(ana: Credentials, dose: DoseLog) -> None:
    skip_dose(dose_id=dose.id, by=ana.user, now=NOW, reason="felt sick")
    reopened = undo_dose(dose_id=dose.id, by=ana.user, now=NOW).object
    assert (reopened.status, reopened.skip_reason, reopened.recorded_by) == ("pending", "", None)
    assert list(DoseEvent.objects.order_by("id").values_list("action", flat=True)) == ["skipped", "reopened"]


def test_a_dose_of_another_user_does_not_exist(ben: Credentials, dose: DoseLog) -> None:
    with pytest.raises(Http404):
        take_dose(dose_id=dose.id, by=ben.user, now=NOW)


def test_nothing_is_taken_in_the_future(ana: Credentials, dose: DoseLog) -> None:
    with pytest.raises(ValidationError):
        take_dose(dose_id=dose.id, by=ana.user, now=NOW, occurred_at=NOW + timedelta(hours=1))


def test_a_planned_dose_keeps_the_limits_of_its_medication(ana: Credentials, dose: DoseLog) -> None:
    limits = {"min_gap_minutes": 240}
    schedule_at(dose.medication, time(0), now=NOW, cycle_type="as_needed", cycle_value=limits)
    log_intake(medication_id=dose.medication_id, by=ana.user, now=NOW - HOUR)
    session = session_of(ana.user)
    claims = AccessClaims(ana.user.id, session.id)
    assert take_planned_dose(claims, dose_id=dose.id) is None
    with pytest.raises(IntakeTooSoon):
        take_dose(dose_id=dose.id, by=ana.user, now=NOW)
    flushed = take_dose(dose_id=dose.id, by=ana.user, now=NOW, offline=True)
    assert (flushed.object.status, flushed.flags) == ("taken", ("too_soon",))
    undo_dose(dose_id=dose.id, by=ana.user, now=NOW)
    taken = take_dose(dose_id=dose.id, by=ana.user, now=NOW, override=True).object
    assert taken.log_date == dose.log_date
    overridden = DoseEvent.objects.filter(payload={"override": "IntakeTooSoon"})
    assert overridden.count() == 1
