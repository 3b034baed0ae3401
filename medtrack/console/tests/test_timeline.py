"""The timeline of a patient's page."""

import re
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dosing.actions.doses import take_dose
from dosing.actions.medications import update_medication
from dosing.actions.schedules import (
    delete_schedule,
    end_pause_that_is_over,
    pause_medication,
    update_schedule,
)
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.status import DoseStatus
from medications.models import Medication, MedicationEvent
from medtrack.console.tests.patient_pages import SEES, agent, page_of
from medtrack.database.ids import uuid7
from medtrack.tests.support.builders import (
    device_of,
    dose_due,
    medication_of,
    schedule_at,
)
from medtrack.tests.support.edits import describe
from notifications.models import DeviceToken, NotificationLog
from users.actions import Credentials
from users.models import User

# The timeline


def lines(page: str) -> list[str]:
    """What every line says, its marks left out."""
    found = re.findall(
        r'<li class="person-(?:doses|answers|reminders|changes|sign_ins)">(.*?)</li>', page, re.DOTALL
    )
    return [re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", line)).strip() for line in found]


def older(page: str) -> str:
    found = re.search(r'href="(\?[^"#]*)#timeline">Older', page)
    return found[1].replace("&amp;", "&") if found else ""


def history(user: User, days: int) -> None:
    """A dose, its reminder and its answer every day, at the same instant some of them."""
    now = timezone.now().replace(microsecond=0)
    schedule = schedule_at(medication_of(user), now.time(), now=now - timedelta(days=days + 3))
    DoseLog.objects.filter(schedule=schedule).delete()
    doses, reminders, events = [], [], []
    for number in range(days):
        at = now - timedelta(days=number // 2, hours=number % 2)
        dose = DoseLog(
            user=user,
            medication_id=schedule.medication_id,
            log_date=at.date(),
            due_at=at,
            scheduled_time=at.time(),
            quantity=number + 1,
            status=DoseStatus.TAKEN,
            taken_at=at,
            recorded_by=user,
            schedule=Schedule.objects.create(
                medication_id=schedule.medication_id, scheduled_time=at.time(), start_date=at.date()
            ),
        )
        doses.append(dose)
        id = uuid7()
        reminders.append(
            NotificationLog(
                id=id,
                tag=id,
                user=user,
                dose=dose,
                schedule_id=dose.schedule_id,
                kind="due",
                send_at=at,
                expires_at=at + timedelta(minutes=30),
                status="moot",
                reason="expired",
                closed_at=at,
            )
        )
        events.append(
            DoseEvent(dose=dose, action="taken", occurred_at=at, recorded_at=at, recorded_by=user, payload={})
        )
    DoseLog.objects.bulk_create(doses)
    NotificationLog.objects.bulk_create(reminders)
    DoseEvent.objects.bulk_create(events)


@pytest.mark.breaks_the_engine
def test_pages_lose_and_repeat_nothing_while_more_happens(superuser: Client, ana: Credentials) -> None:
    history(ana.user, 100)
    query, seen, pages = "", list[str](), 0
    while True:
        page = superuser.get(page_of(ana.user) + query)
        choice_ids = _keys(page)
        seen += choice_ids
        pages += 1
        if not (query := older(page.content.decode())):
            break
        # Meanwhile the newest end grows.
        dose_due(ana.user, timezone.now() - timedelta(seconds=1), medicine=f"New {pages}")
    assert pages == 7, "303 lines, of 50"
    assert len(seen) == len(set(seen)) == 303
    everything = {str(id) for id in NotificationLog.objects.values_list("id", flat=True)}
    assert everything <= {key.split()[1] for key in seen}


def _keys(page: Any) -> list[str]:
    return [
        key for _day, shown in page.context["days"] for key in (f"{line.kind} {line.id}" for line in shown)
    ]


@pytest.mark.breaks_the_engine
def test_a_kind_and_a_day_can_be_chosen(superuser: Client, ana: Credentials) -> None:
    history(ana.user, 30)
    today = timezone.now().astimezone(ana.user.zone).date()
    for kind, word in (("doses", "dose"), ("answers", "answer"), ("reminders", "reminder")):
        shown = lines(superuser.get(f"{page_of(ana.user)}?kind={kind}").content.decode())
        assert len(shown) == 30
        assert all(f" {word} " in line for line in shown)
    assert len(lines(superuser.get(f"{page_of(ana.user)}?kind=sign_ins").content.decode())) == 1
    day = today - timedelta(days=5)
    expected = DoseLog.objects.filter(due_at__date=day).count()
    of_day = superuser.get(f"{page_of(ana.user)}?kind=doses&day={day}").content.decode()
    assert len(lines(of_day)) == expected
    assert lines(superuser.get(f"{page_of(ana.user)}?day=2001-01-01").content.decode()) == []


@pytest.mark.parametrize(
    "query",
    [
        "?before=x",
        "?before=__",
        "?before=20260301T000000.000000Z_9_01a2002a-c99a-7175-8571-004b65884768",
        "?before=99999999T000000_1_01a2002a-c99a-7175-8571-004b65884768",
        "?before=%00&kind=%00&day=%00",
        "?kind=everything",
        "?day=yesterday",
        "?day=0001-01-01",
        "?day=9999-12-31",
        "?before=" + "1" * 5000,
    ],
)
def test_what_cannot_be_read_is_left_out(superuser: Client, ana: Credentials, query: str) -> None:
    page = superuser.get(page_of(ana.user) + query)
    assert page.status_code == 200
    assert "cannot be read and was left out" in page.content.decode()
    assert len(lines(page.content.decode())) == 1


@pytest.mark.breaks_the_engine
def test_a_long_history_takes_no_more_queries(
    superuser: Client, ana: Credentials, phone: DeviceToken
) -> None:
    history(ana.user, 2)
    superuser.get(page_of(ana.user))
    with CaptureQueriesContext(connection) as short:
        superuser.get(page_of(ana.user))
    history(ana.user, 60)
    for number in range(3):
        device_of(ana.user, f"phone-{number}")
        medication_of(ana.user, f"Medicine {number}")
    with CaptureQueriesContext(connection) as long:
        superuser.get(page_of(ana.user))
    assert len(long) == len(short) == 21


def test_answers_say_who_gave_them(superuser: Client, ana: Credentials, ben: Credentials) -> None:
    first = dose_due(ana.user, timezone.now() - timedelta(minutes=2))
    second = dose_due(ana.user, timezone.now() - timedelta(minutes=1), medicine="Aspirin")
    take_dose(dose_id=first.id, by=ana.user, now=timezone.now())
    now = timezone.now()
    DoseEvent.objects.create(
        dose=second, action="snoozed", occurred_at=now, recorded_at=now, recorded_by=ben.user, payload={}
    )
    page = superuser.get(page_of(ana.user) + "?kind=answers").content.decode()
    said = lines(page)
    assert ["by the patient" in line for line in said] == [False, True]
    assert "by Ben" in said[0]
    assert Medication.objects.count() == 2


def test_changes_say_who_changed_what(superuser: Client, ana: Credentials) -> None:
    now = timezone.now()
    medication = medication_of(ana.user, strength="5 mg", memo="secret")
    schedule = schedule_at(medication, time(8), now=now)
    by: dict[str, Any] = {"by": ana.user, "now": now}
    changes = {"strength": "10 mg", "memo": "still secret"}
    update_medication(medication_id=medication.id, changes=changes, **by)
    pause_medication(medication_id=medication.id, until=now + timedelta(minutes=1), **by)
    update_schedule(schedule_id=schedule.id, changes={"scheduled_time": time(9)}, **by)
    end_pause_that_is_over(medication_id=medication.id, now=now + timedelta(minutes=1))
    delete_schedule(schedule_id=schedule.id, **by)
    everything = superuser.get(page_of(ana.user) + "?kind=changes").content.decode()
    shown = [line.partition(" change ")[2] for line in lines(everything)]
    until = f"{now + timedelta(minutes=1):%Y-%m-%d %H:%M}"
    assert sorted(shown) == sorted(
        [
            "Metformin created by the patient",
            "Metformin schedule created 08:00 every day · by the patient",
            "Metformin changed by the patient memo: secret → still secret strength: 5 mg → 10 mg",
            f"Metformin paused by the patient paused at: — → {now:%Y-%m-%d %H:%M} paused until: — → {until}",
            "Metformin schedule changed 09:00 every day · by the patient time: 08:00 → 09:00",
            f"Metformin resumed by the system paused at: {now:%Y-%m-%d %H:%M} → — paused until: {until} → —",
            "Metformin schedule deleted 09:00 every day · by the patient",
        ]
    )
    travelled = {"timezone": ["Asia/Seoul", "UTC"], "absorbed": [None, ["2026-11-20", "2026-11-21"]]}
    MedicationEvent.objects.create(
        medication=medication, schedule_id=schedule.id, action="travelled", changes=travelled
    )
    newest = lines(superuser.get(page_of(ana.user) + "?kind=changes").content.decode())
    assert any(
        "dates without a dose: — → 2026-11-20, 2026-11-21 time zone: Asia/Seoul → UTC" in line
        for line in newest
    )
    without_notes = agent(*SEES).get(page_of(ana.user) + "?kind=changes").content.decode()
    assert "10 mg" in without_notes
    assert "secret" not in without_notes


def test_the_timeline_and_the_list_of_doses_show_what_was_taken(superuser: Client, ana: Credentials) -> None:
    now = timezone.now()
    dose = dose_due(ana.user, now - timedelta(hours=2))
    Medication.objects.update(strength="5", unit="mg")
    take_dose(dose_id=dose.id, by=ana.user, now=now - timedelta(hours=2))
    describe(dose.medication, at=now - timedelta(hours=1), name="Glucophage", unit="g", strength="10")
    (answer,), (due,) = (
        lines(superuser.get(f"{page_of(ana.user)}?kind={kind}").content.decode())
        for kind in ("answers", "doses")
    )
    assert "Metformin (now Glucophage)" in answer
    assert "Metformin (now Glucophage)" in due
    assert "1 mg" in due
    for page in ("", f"{dose.id}/change/"):
        assert "Metformin 5 mg" in superuser.get(f"/admin/dosing/doselog/{page}").content.decode()
