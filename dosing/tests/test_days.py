"""The short way through the day against the long one, which knows all the rules."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import orjson
import pytest
from django.db import connection, transaction
from django.db.models.functions import Coalesce
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from dosing.actions.doses import skip_dose, snooze_dose, take_dose, undo_dose
from dosing.actions.intakes import log_intake
from dosing.days import DOSE_COLUMNS, day_of, take_planned_dose
from dosing.models import DoseEvent, DoseLog
from dosing.serializers import DoseOutput
from dosing.settling import settle
from dosing.status import TRANSITIONS, Change, DoseStatus
from medtrack.http.renderers import JSONRenderer
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import dose_due, medication_of, person, session_of
from users.actions import Credentials, log_out
from users.authentication import SessionEnded
from users.models import Session, User
from users.tokens import AccessClaims

NOW = timezone.now().replace(microsecond=0)
TAKE_SQL = Path(__file__).parents[1] / "sql" / "take.sql"


def claims_of(user: User) -> AccessClaims:
    return AccessClaims(user.id, session_of(user).id)


def test_the_statements_read_the_fields_of_the_serializer() -> None:
    assert [*DOSE_COLUMNS, "also_on"] == DoseOutput.Meta.fields


def doses_of_day(user: User, day: date) -> list[DoseLog]:
    """The day as Django's own queries see it."""
    doses = DoseLog.objects.filter(user=user, log_date=day).select_related("medication")
    ordered = doses.order_by(Coalesce("due_at", "taken_at"), "id")
    return [dose for dose in ordered if dose.schedule_id or dose.status != DoseStatus.PENDING]


def make(user: User, number: int, fate: str, due_at: datetime) -> None:
    who: dict[str, Any] = {"by": user, "now": due_at + timedelta(minutes=number)}
    medicine = f"Medicine {number}"
    if fate in ("intake", "taken back"):
        quantity = Decimal("2.5") if number % 2 else Decimal(100)
        intake = log_intake(medication_id=medication_of(user, medicine).id, quantity=quantity, **who).object
        if fate == "taken back":
            undo_dose(dose_id=intake.id, **who)
        return
    dose = dose_due(user, due_at, medicine=medicine, quantity=Decimal("1.250"))
    if fate == "taken":
        take_dose(dose_id=dose.id, quantity=Decimal(number + 1), note='with "milk" \\ 우유', **who)
    elif fate == "skipped":
        skip_dose(dose_id=dose.id, reason="unwell", **who)
    elif fate == "snoozed":
        snooze_dose(dose_id=dose.id, minutes=15, **who)
    elif fate == "missed":
        settle(now=due_at + timedelta(hours=5))


FATES = ["pending", "taken", "skipped", "snoozed", "missed", "intake", "taken back"]


class TestDays(TestCase):
    @settings(max_examples=25, deadline=None)
    @given(fates=st.lists(st.sampled_from(FATES), max_size=6), zone=st.sampled_from(["UTC", "Asia/Seoul"]))
    def test_a_day_is_what_the_serializer_says_of_its_doses(self, fates: list[str], zone: str) -> None:
        user = person("Ana", timezone=zone).user
        for number, fate in enumerate(fates):
            make(user, number, fate, NOW - timedelta(hours=6, minutes=7 * (number % 3)))
        today = NOW.astimezone(user.zone).date()
        for day in (today, today - timedelta(days=1)):
            shown = json.loads(JSONRenderer().render(day_of(claims_of(user), day, now=NOW)))
            expected = DoseOutput(doses_of_day(user, day), many=True).data
            assert shown == {
                "date": day.isoformat(),
                "timezone": zone,
                "results": json.loads(orjson.dumps(expected)),
            }

    @settings(max_examples=40, deadline=None)
    @given(
        fate=st.sampled_from(["pending", "snoozed", "missed", "skipped", "taken"]),
        quantity=st.sampled_from([None, Decimal("2.5"), Decimal(100)]),
        note=st.sampled_from([None, "", "with milk"]),
        ago=st.sampled_from([None, 0, 90]),
        has_event_id=st.booleans(),
    )
    def test_taking_the_short_way_leaves_the_same_rows_or_none(
        self, fate: str, quantity: Decimal | None, note: str | None, ago: int | None, has_event_id: bool
    ) -> None:
        user = person("Ana").user
        make(user, 0, fate, NOW - timedelta(hours=6))
        dose = DoseLog.objects.get()
        said: dict[str, Any] = {"dose_id": dose.id, "quantity": quantity, "note": note}
        said["event_id"] = uuid4() if has_event_id else None
        said["occurred_at"] = None if ago is None else NOW - timedelta(minutes=ago)
        before = _rows()
        short = _outcome(lambda: take_planned_dose(claims_of(user), **said))
        if fate in ("skipped", "taken"):
            assert short == (None, *before)
            return
        session = session_of(user)
        long = _outcome(
            lambda: _as_json(take_dose(by=user, session=session, now=timezone.now(), **said).object)
        )
        assert short == long


def _as_json(dose: DoseLog) -> Any:
    return json.loads(orjson.dumps(DoseOutput(dose).data))


def _outcome(take: Callable[[], Any]) -> tuple[Any, ...]:
    """What it answers and leaves behind, which is then taken back; what happened just now is `now`."""
    with transaction.atomic():
        answer = take()
        outcome = (answer and json.loads(JSONRenderer().render(answer)), *_rows())
        transaction.set_rollback(True)
    if answer and abs(datetime.fromisoformat(outcome[0]["taken_at"]) - timezone.now()) < timedelta(minutes=5):
        outcome[0]["taken_at"] = "now"
    return outcome


def _rows() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    doses: list[dict[str, Any]] = [dict(row) for row in DoseLog.objects.values()]
    events: list[dict[str, Any]] = [dict(row) for row in DoseEvent.objects.order_by("recorded_at").values()]
    for row in events:
        del row["recorded_at"]
        row["id"] = row["id"].version  # ours are of version 7, a client's are its own
    for row in (*doses, *events):
        for name in ("taken_at", "occurred_at"):
            if row.get(name) and timezone.now() - row[name] < timedelta(minutes=5):
                row[name] = "now"
    return doses, events


@pytest.fixture
def dose(ana: Credentials) -> DoseLog:
    return dose_due(ana.user, NOW)


def test_the_short_way_takes_what_the_table_says() -> None:
    (statuses,) = re.findall(r"d.status IN \((.*)\)", TAKE_SQL.read_text())
    # A skip may be another person's, which the action finds out.
    takable = [
        str(status)
        for status, change in TRANSITIONS
        if change == Change.TAKE and status != DoseStatus.SKIPPED
    ]
    assert statuses == ", ".join(f"'{status}'" for status in takable)


def test_neither_way_is_open_once_the_session_has_ended(ana: Credentials, dose: DoseLog) -> None:
    claims = claims_of(ana.user)
    log_out(session_id=session_of(ana.user).id, now=timezone.now())
    with pytest.raises(SessionEnded):
        day_of(claims, NOW.date(), now=NOW)
    with pytest.raises(SessionEnded):
        take_planned_dose(claims, dose_id=dose.id)
    assert not DoseEvent.objects.exists()


def test_errors_are_in_the_profiles_language_and_only_in_a_living_session(
    as_ana: Client, ana: Credentials, dose: DoseLog
) -> None:
    User.objects.update(language="ko")
    take, amend = (f"/api/v1/doses/{dose.id}/{deed}" for deed in ("take", "amend"))
    said = [as_ana.post(path, {"quantity": 5}, format="json").json()["errors"] for path in (take, amend)]
    assert said[0] == said[1]
    log_out(session_id=session_of(ana.user).id, now=timezone.now())
    ended = (as_ana.post(take, {"quantity": 5}, format="json"), as_ana.get("/api/v1/doses?date=tomorrow"))
    assert [answer.status_code for answer in ended] == [401, 401]


@pytest.mark.parametrize("change", [{"is_active": False}, {"deleted_at": NOW}])
def test_an_inactive_or_deleted_user_can_neither_read_nor_take_doses(
    ana: Credentials, dose: DoseLog, change: dict[str, Any]
) -> None:
    User.objects.update(**change)
    with pytest.raises(SessionEnded):
        day_of(claims_of(ana.user), NOW.date(), now=NOW)
    with pytest.raises(SessionEnded):
        take_planned_dose(claims_of(ana.user), dose_id=dose.id)


def test_a_session_that_ran_out_opens_nothing(ana: Credentials, dose: DoseLog) -> None:
    Session.objects.update(created_at=NOW - timedelta(days=2), expires_at=NOW - timedelta(days=1))
    with pytest.raises(SessionEnded):
        day_of(claims_of(ana.user), NOW.date(), now=NOW)


def test_a_session_reads_only_the_doses_of_its_own_user(
    ana: Credentials, cleo: Credentials, dose: DoseLog
) -> None:
    assert take_planned_dose(claims_of(cleo.user), dose_id=dose.id) is None
    mixed = AccessClaims(ana.user.id, session_of(cleo.user).id)
    with pytest.raises(SessionEnded):
        day_of(mixed, NOW.date(), now=NOW)
    assert DoseLog.objects.get().status == DoseStatus.PENDING


def test_what_is_not_the_plain_case_goes_the_long_way(
    as_ana: Client, ana: Credentials, dose: DoseLog
) -> None:
    ahead = (timezone.now() + timedelta(minutes=10)).isoformat()
    refused = as_ana.post(f"/api/v1/doses/{dose.id}/take", {"occurred_at": ahead}, format="json")
    assert refused.json()["errors"][0]["code"] == "in_future"
    to_come = dose_due(ana.user, timezone.now() + timedelta(days=2), medicine="Zinc")
    assert take_planned_dose(claims_of(ana.user), dose_id=to_come.id) is None
    event_id = str(uuid4())
    for _ in range(2):
        taken = as_ana.post(f"/api/v1/doses/{dose.id}/take", {"event_id": event_id}, format="json")
        assert (taken.status_code, taken.json()["status"]) == (200, "taken")
    other = dose_due(ana.user, NOW + timedelta(hours=1), medicine="Aspirin")
    conflict = as_ana.post(f"/api/v1/doses/{other.id}/take", {"event_id": event_id}, format="json")
    assert (conflict.status_code, conflict.json()["type"]) == (409, "IdConflict")
    assert DoseEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_same_event", [True, False])
def test_a_dose_taken_twice_at_once_has_one_event(is_same_event: bool) -> None:
    ana = person("Ana")
    start = Barrier(6)

    def take(body: dict[str, str]) -> int:
        connection.ensure_connection()
        start.wait()
        try:
            return int(Client(ana).post(f"/api/v1/doses/{taken.id}/take", body, format="json").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        for number in range(6):
            taken = dose_due(ana.user, NOW, medicine=f"Medicine {number}")
            id = uuid4()
            bodies = [{"event_id": str(id if is_same_event else uuid4())} for _ in range(6)]
            assert list(pool.map(take, bodies)) == [200] * 6
            assert DoseEvent.objects.filter(dose=taken).count() == 1
