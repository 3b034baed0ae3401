"""The console's summaries against what dosing itself reports, and who writes them when."""

from datetime import UTC, datetime, time, timedelta
from io import StringIO
from itertools import product
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from dosing.actions.doses import skip_dose, take_dose, undo_dose
from dosing.actions.schedules import pause_medication
from dosing.adherence import GroupBy
from dosing.models import DoseEvent, DoseLog
from dosing.planning import plan_schedules
from dosing.reports import report
from dosing.settling import settle
from medications.models import Medication
from medtrack.console.models import PatientSummary
from medtrack.console.patients.summaries import refresh, refreshed_at
from medtrack.console.tasks import refresh_summaries
from medtrack.tests.support.builders import (
    device_of,
    dose_due,
    medication_of,
    person,
    schedule_at,
    session_of,
)
from notifications.models import DeviceToken, NotificationLog
from users.actions import Credentials
from users.models import User

DAY = timedelta(days=1)
# West and east of the date line, half hours, and clocks that change within the sixty days.
ZONES = ("Pacific/Kiritimati", "Asia/Kathmandu", "America/New_York", "Europe/London", "Pacific/Niue", "UTC")


def summed_up(user: User, *, now: datetime, **options: Any) -> PatientSummary:
    assert refresh(now=now, **options)
    return PatientSummary.objects.get(patient=user)


def reported(user: User, first: int, last: int, now: datetime) -> float | None:
    """What dosing says of these days before the patient's today."""
    today = now.astimezone(user.zone).date()
    return report(
        user, today - first * DAY, today - last * DAY, group_by=GroupBy.DAY, now=now
    ).total.figures.rate


def rounded(share: float | None) -> float | None:
    return share and round(share, 4)


@pytest.fixture
def histories(db: None) -> list[User]:
    """A random life in each zone: answered, skipped, missed, taken back, paused and still open."""
    return [
        _live(person(f"P{number}", timezone=zone).user, Random(number)) for number, zone in enumerate(ZONES)
    ]


NOW = datetime(2041, 11, 12, 10, 30, tzinfo=UTC)


def _live(user: User, chance: Random) -> User:
    start = NOW - 75 * DAY
    schedules = [
        schedule_at(medication_of(user, f"M{n}", created_at=start), time(chance.randrange(24), 30), now=start)
        for n in range(2)
    ]
    plan_schedules(schedule_ids=[schedule.id for schedule in schedules], now=NOW)
    for dose in DoseLog.objects.filter(user=user, due_at__lte=NOW).order_by("due_at"):
        assert dose.due_at
        _answer(dose, dose.due_at + timedelta(minutes=chance.randrange(1, 200)), chance)
    for days in range(1, 50, 3):
        _as_needed(schedules[0].medication, NOW - days * DAY)
    pause_medication(
        medication_id=schedules[0].medication_id,
        by=schedules[0].medication.user,
        now=NOW - timedelta(hours=1),
    )
    return user


def _as_needed(medication: Medication, at: datetime) -> None:
    user = medication.user
    DoseLog.objects.create(
        user=user,
        medication=medication,
        log_date=at.astimezone(user.zone).date(),
        quantity=1,
        status="taken",
        taken_at=at,
        recorded_by=user,
    )


def _answer(dose: DoseLog, at: datetime, chance: Random) -> None:
    kind = chance.random()
    if kind < 0.7:
        take_dose(dose_id=dose.id, by=dose.user, now=at)
    elif kind < 0.8:
        skip_dose(dose_id=dose.id, by=dose.user, now=at)
    elif kind < 0.85:
        take_dose(dose_id=dose.id, by=dose.user, now=at)
        undo_dose(dose_id=dose.id, by=dose.user, now=at)


def test_adherence_is_what_dosing_reports_in_every_zone(histories: list[User]) -> None:
    settle(now=NOW - 2 * DAY)
    for now, user in product(
        (*(NOW.replace(hour=hour) for hour in (0, 5, 11, 17, 23)), NOW + DAY), histories
    ):
        summary = summed_up(user, now=now)
        assert rounded(summary.adherence_7) == reported(user, 7, 1, now)
        assert rounded(summary.adherence_30) == reported(user, 30, 1, now)
        assert rounded(summary.adherence_before) == reported(user, 60, 31, now)
        assert summary.adherence_before not in (None, 0, 1)
        events = DoseEvent.objects.filter(dose__user=user)
        assert summary.last_answer_at == max(events.values_list("occurred_at", flat=True))


def test_today_and_what_nobody_waits_for_do_not_count(ana: Credentials) -> None:
    now = datetime(2041, 3, 10, 15, tzinfo=UTC)
    taken = dose_due(ana.user, now - DAY)
    take_dose(dose_id=taken.id, by=ana.user, now=now - DAY)
    dose_due(ana.user, now - timedelta(hours=5))
    assert summed_up(ana.user, now=now).adherence_7 == 1
    assert summed_up(ana.user, now=now + DAY).adherence_7 == 0.5
    assert summed_up(ana.user, now=now + 40 * DAY).adherence_7 is None


def test_only_rows_that_changed_are_written_and_the_first_says_when(
    ana: Credentials, ben: Credentials, cleo: Credentials
) -> None:
    now = timezone.now()
    first = refresh(now=now)
    assert first
    assert (first.patients, first.written, first.removed) == (3, 3, 0)
    again = refresh(now=now + timedelta(minutes=5))
    assert again
    assert (again.patients, again.written, again.removed) == (3, 1, 0)
    assert refreshed_at() == now + timedelta(minutes=5)
    device_of(cleo.user)
    changed = refresh(now=now + timedelta(minutes=10))
    assert changed
    assert changed.written == 2
    assert PatientSummary.objects.get(patient=cleo.user).device_count == 1
    assert PatientSummary.objects.get(patient=ben.user).refreshed_at == now


def test_people_who_were_erased_or_joined_the_staff_are_removed(ana: Credentials, ben: Credentials) -> None:
    refresh(now=timezone.now())
    User.objects.filter(id=ana.user.id).update(deleted_at=timezone.now(), is_active=False)
    User.objects.filter(id=ben.user.id).update(is_staff=True)
    refreshed = refresh(now=timezone.now())
    assert refreshed
    assert (refreshed.patients, refreshed.removed) == (0, 2)
    assert not PatientSummary.objects.exists()
    assert refreshed_at() is None


def test_the_last_answer_only_becomes_later_and_is_read_once(ana: Credentials, ben: Credentials) -> None:
    now = timezone.now()
    dose = dose_due(ana.user, now - 3 * DAY)
    take_dose(dose_id=dose.id, by=ana.user, now=now - 3 * DAY)
    assert summed_up(ana.user, now=now).last_answer_at == now - 3 * DAY
    # Kept, although nothing was recorded since.
    assert summed_up(ana.user, now=now).last_answer_at == now - 3 * DAY
    undo_dose(dose_id=dose.id, by=ana.user, now=now)
    assert summed_up(ana.user, now=now).last_answer_at == now


def test_somebody_without_a_summary_is_looked_up_wholly(ana: Credentials, ben: Credentials) -> None:
    now = timezone.now()
    dose = dose_due(ben.user, now - 3 * DAY)
    take_dose(dose_id=dose.id, by=ben.user, now=now - 3 * DAY)
    refresh(now=now)
    PatientSummary.objects.filter(patient=ben.user).delete()
    assert summed_up(ben.user, now=now).last_answer_at == now - 3 * DAY


def test_from_scratch_forgets_an_answer_that_is_not_there(ana: Credentials, ben: Credentials) -> None:
    now = timezone.now()
    refresh(now=now)
    PatientSummary.objects.update(last_answer_at=now)
    assert summed_up(ana.user, now=now).last_answer_at == now
    assert summed_up(ana.user, now=now, from_scratch=True).last_answer_at is None


def test_devices_count_while_pushes_go_to_them(ana: Credentials) -> None:
    now = timezone.now()
    for number in range(4):
        device_of(ana.user, f"phone-{number}")
    devices = DeviceToken.objects.order_by("id")
    devices.filter(token="phone-1").update(silent_since=now)
    devices.filter(token="phone-2").update(silent_since=now, revoked_at=now, revoke_reason="UNREGISTERED")
    devices.filter(token="phone-3").update(session=None)
    summary = summed_up(ana.user, now=now)
    assert (summary.device_count, summary.silent_device_count) == (2, 1)
    session = session_of(ana.user)
    session.revoked_at = now
    session.save()
    assert summed_up(ana.user, now=now).device_count == 0


def test_pushes_of_a_week_that_reached_no_device_count_once_each(ana: Credentials) -> None:
    now = timezone.now()
    tag = uuid4()
    _push(ana.user, now - DAY, tag=tag)
    _push(ana.user, now - DAY, tag=tag)
    _push(ana.user, now - 2 * DAY)
    _push(ana.user, now - 8 * DAY)
    _push(ana.user, now - DAY, kind="withdraw")
    _push(ana.user, now - DAY, status="accepted", sent_at=now)
    _push(ana.user, now - DAY, status="moot")
    assert summed_up(ana.user, now=now).failed_push_count == 2


def _push(user: User, at: datetime, **fields: Any) -> None:
    values = {"kind": "due", "status": "dead", "reason": "x", "tag": uuid4(), **fields}
    NotificationLog.objects.create(
        user=user, dose_id=uuid4(), send_at=at, expires_at=at + DAY, closed_at=at, **values
    )


def test_a_zone_that_is_none_holds_nobody_up(ana: Credentials, ben: Credentials) -> None:
    User.objects.filter(id=ana.user.id).update(timezone="Mars/Olympus")
    refreshed = refresh(now=timezone.now())
    assert refreshed
    assert refreshed.written == 2


def test_one_process_at_a_time_refreshes(transactional_db: None, ana: Credentials) -> None:
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": None}) as other:
        other.execute("SELECT pg_advisory_xact_lock(7305814022)")
        assert refresh(now=timezone.now()) is None
        with pytest.raises(CommandError, match="Another process"):
            call_command("refresh_summaries", stdout=StringIO(), stderr=StringIO())
    assert refresh(now=timezone.now())


def test_the_task_and_the_command_refresh(ana: Credentials) -> None:
    refresh_summaries()
    assert PatientSummary.objects.count() == 1
    said = StringIO()
    call_command("refresh_summaries", from_scratch=True, stdout=said, stderr=StringIO())
    assert said.getvalue().startswith("1 patients: 1 summaries written, 0 removed, ")
