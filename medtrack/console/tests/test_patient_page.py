"""A patient's page: who sees which part of it, and what it says."""

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dosing.actions.doses import skip_dose
from dosing.actions.schedules import create_schedule, pause_medication
from dosing.models import DoseLog, Schedule
from dosing.status import DoseStatus
from medtrack.api.erasure import erase_person
from medtrack.console.tests.patient_pages import BUTTONS, SEES, agent, button_of, content_of, page_of
from medtrack.tests.support.builders import (
    claim_all,
    dose_due,
    medication_of,
    person,
    schedule_at,
)
from notifications import queue
from notifications.models import DeviceToken, PushDelivery
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials
from users.models import AccessLog, User

# Who sees what


def test_a_page_takes_the_right_to_see_patients(ana: Credentials) -> None:
    others = ["notifications.view_devicetoken", "users.view_user", "console.read_notes", *BUTTONS.values()]
    assert agent(*set(others)).get(page_of(ana.user)).status_code == 403
    assert agent(*SEES).get(page_of(ana.user)).status_code == 200
    assert Client().get(page_of(ana.user)).status_code == 302


def test_every_look_is_written_down(ana: Credentials) -> None:
    client = agent(*SEES)
    client.get(page_of(ana.user) + "?kind=doses&day=2026-03-01")
    entry = AccessLog.objects.get()
    assert (entry.patient_id, entry.action, entry.page) == (ana.user.id, "view", "console_patient_change")
    assert entry.details == {"kind": "doses", "day": "2026-03-01"}


def test_a_look_that_cannot_be_written_down_is_refused(
    ana: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError

    monkeypatch.setattr("medtrack.console.patient.page.record_access", fail)
    with pytest.raises(OSError):  # noqa: PT011 - it is ours
        agent(*SEES).get(page_of(ana.user))


@pytest.mark.parametrize("address", ["change", "do/replan", "do/nothing", "history", "delete"])
def test_who_is_no_patient_has_no_page(
    superuser: Client, ana: Credentials, cleo: Credentials, address: str
) -> None:
    erase_person(user=cleo.user, now=timezone.now())
    staff = User.objects.get(is_staff=True)
    for id in (staff.id, cleo.user.id, uuid4(), "me", "0", "%00", "1" * 300, "%F0%9F%92%8A"):
        for method in (superuser.get, superuser.post):
            status = method(f"/admin/console/patient/{id}/{address}/").status_code
            assert status in (403, 404) if address == "delete" else status == 404


def test_what_people_wrote_is_for_who_may_read_it(ana: Credentials, phone: DeviceToken) -> None:
    now = timezone.now()
    medication = medication_of(ana.user, memo="zzmemocanary")
    schedule_at(medication, (now - timedelta(minutes=1)).time(), now=now - timedelta(minutes=2))
    skipped = DoseLog.objects.filter(due_at__lte=now).get()
    queue.enqueue()
    skip_dose(dose_id=skipped.id, by=ana.user, now=now, reason="zzreasoncanary", note="zznotecanary")
    words = ("zzmemocanary", "zzreasoncanary", "zznotecanary")
    everything = agent(*SEES, "console.read_notes").get(page_of(ana.user)).content.decode()
    nothing = agent(*SEES, *set(BUTTONS.values())).get(page_of(ana.user)).content.decode()
    assert [word in everything for word in words] == [True] * 3
    assert "canary" not in nothing
    assert "Metformin" in nothing
    trace = agent(*SEES).get(f"/admin/notifications/notificationlog/dose/{skipped.id}/")
    assert "canary" not in trace.content.decode()


def test_what_one_may_not_read_is_not_even_fetched(ana: Credentials) -> None:
    dose_due(ana.user, timezone.now() - timedelta(minutes=1))
    client = agent(*SEES)
    with CaptureQueriesContext(connection) as queries:
        client.get(page_of(ana.user))
    written = [q["sql"] for q in queries if re.search(r'"(note|skip_reason|payload|memo)"', q["sql"])]
    assert written == []


# Why did no reminder come?


def test_the_answer_is_one_click_from_the_dose_and_leads_back(ana: Credentials) -> None:
    client = agent(*SEES)
    dose = dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()
    claim_all()
    trace = f"/admin/notifications/notificationlog/dose/{dose.id}/"
    assert f'href="{trace}"' in client.get(page_of(ana.user)).content.decode()
    page = client.get(trace)
    assert "No reminder was handed over. No signed-in device was left" in content_of(page)
    assert f'href="{page_of(ana.user)}"' in page.content.decode()
    assert "/admin/dosing/doselog/" not in content_of(page), "which this agent may not see"
    looked = AccessLog.objects.latest("id")
    assert (looked.patient_id, looked.object_id, looked.page) == (
        ana.user.id,
        str(dose.id),
        "notifications_dose_trace",
    )


def test_staff_ask_why_a_date_has_no_dose(ana: Credentials, cleo: Credentials) -> None:
    client, now = agent(*SEES), timezone.now()
    schedule = schedule_at(medication_of(ana.user), time(8), now=now)
    pause_medication(medication_id=schedule.medication_id, by=ana.user, now=now)
    page = f"/admin/console/patient/{ana.user.id}/trace/"
    assert f'href="{page}"' in client.get(page_of(ana.user)).content.decode()
    form = content_of(client.get(page))
    assert f'value="{schedule.id}"' in form
    asked = {"schedule": str(schedule.id), "date": str((now + timedelta(days=5)).date())}
    answer = client.get(page, asked)
    assert f"The medication was paused by Ana at {now:%Y-%m-%d %H:%M}." in content_of(answer)
    looked = AccessLog.objects.latest("id")
    assert (looked.patient_id, looked.page) == (ana.user.id, "console_patient_trace")
    assert client.get(f"/admin/console/patient/{cleo.user.id}/trace/", asked).status_code == 404
    for nonsense in ({"date": "2026"}, {"schedule": "x"}):
        assert client.get(page, asked | nonsense).status_code == 400


def test_a_trace_for_who_sees_reminders_alone_has_no_way_to_the_patient(ana: Credentials) -> None:
    dose = dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    client = agent("dosing.view_doselog", "notifications.view_notificationlog")
    page = client.get(f"/admin/notifications/notificationlog/dose/{dose.id}/")
    assert page.status_code == 200
    assert "/admin/console/patient/" not in content_of(page)
    assert AccessLog.objects.get().patient_id == ana.user.id


# What the page says


def test_the_heat_map_says_what_a_count_by_hand_says(superuser: Client) -> None:
    user = person("Dora", timezone="Asia/Seoul").user
    User.objects.filter(id=user.id).update(week_start=7)
    now = timezone.now()
    today = now.astimezone(user.zone).date()
    medication = medication_of(user)
    start = now - timedelta(days=95)
    schedule = schedule_at(medication, datetime(2026, 1, 1, 0, 30).time(), now=start)  # noqa: DTZ001 - a wall clock
    by_hand: dict[date, tuple[int, int]] = {}
    doses = []
    for number in range(95):
        day = today - timedelta(days=number + 1)
        if number % 11 == 10:
            continue
        for dose_number in range(number % 3 + 1):
            taken = (number + dose_number) % 4 != 0
            assert schedule.scheduled_time
            due_at = datetime.combine(day, schedule.scheduled_time, user.zone)
            doses.append(_dose(user, schedule, day, due_at, taken))
            count, due = by_hand.get(day, (0, 0))
            by_hand[day] = (count + taken, due + 1)
    DoseLog.objects.filter(user=user).delete()
    DoseLog.objects.bulk_create(doses)
    page = content_of(superuser.get(page_of(user)))
    titles = re.findall(r"<g [^>]*><title>(.*?)</title><rect class=\"person-day-(\w+)\"", page)
    assert len(titles) == 90
    for number, (title, level) in enumerate(titles):
        day = today - timedelta(days=89 - number)
        count, due = by_hand.get(day, (0, 0))
        assert title.startswith(f"{day:%a} ")
        if not due:
            assert (title.endswith(": no doses"), level) == (True, "none")
        else:
            assert title.endswith(f": {count} of {due} taken ({count * 100 // due} %)")
            share = count / due
            assert level == (
                "0"
                if not count
                else "4"
                if share == 1
                else "3"
                if share >= 0.8
                else "2"
                if share >= 0.5
                else "1"
            )
    for days in (7, 30):
        spans = [by_hand.get(today - timedelta(days=number + 1), (0, 0)) for number in range(days)]
        taken_sum, due_sum = sum(count for count, _ in spans), sum(due for _, due in spans)
        assert f"{taken_sum} of {due_sum} taken" in page
    first_row = re.search(r'<g transform="translate\(\d+ 18\)"><title>(\w+)', page)
    assert first_row is not None
    assert first_row[1] == "Sun", "the person's weeks begin on Sunday"


def _dose(user: User, schedule: Schedule, day: date, due_at: datetime, taken: bool) -> DoseLog:
    return DoseLog(
        user=user,
        medication_id=schedule.medication_id,
        # One dose a schedule and date: the others are of schedules that look the same.
        schedule=Schedule.objects.create(
            medication_id=schedule.medication_id, scheduled_time=schedule.scheduled_time, start_date=day
        ),
        log_date=day,
        scheduled_time=schedule.scheduled_time,
        due_at=due_at,
        answer_by=due_at + timedelta(hours=4),
        quantity=1,
        status=DoseStatus.TAKEN if taken else DoseStatus.MISSED,
        taken_at=due_at if taken else None,
        recorded_by=user if taken else None,
    )


def test_schedules_that_differ_by_the_time_alone_are_said_together(
    superuser: Client, ana: Credentials
) -> None:
    now = timezone.now()
    medication = medication_of(ana.user, unit="tablet")
    weekly = {"cycle_type": "weekly", "cycle_value": {"days": ["mon", "wed", "fri"]}}
    for hour in (20, 8):
        schedule_at(medication, datetime(2026, 1, 1, hour).time(), now=now, meal_relation="after", **weekly)  # noqa: DTZ001
    damaged = schedule_at(medication, datetime(2026, 1, 1, 9).time(), now=now)  # noqa: DTZ001
    Schedule.objects.filter(id=damaged.id).update(
        cycle_type="interval", cycle_value={"every": "x"}, plan_error="InvalidCycle: cycle_value.every"
    )
    page = content_of(superuser.get(page_of(ana.user)))
    assert "Mon, Wed, Fri 08:00 and 20:00" in page
    assert "1 tablet · after a meal · since" in page
    assert "every n days 09:00" in page
    assert "<code>InvalidCycle: cycle_value.every</code>" in page


def test_as_needed_schedules_without_a_time_are_shown_after_the_others(
    superuser: Client, ana: Credentials
) -> None:
    now = timezone.now()
    medication = medication_of(ana.user)
    rule: dict[str, Any] = {
        "cycle_type": "as_needed",
        "cycle_value": {"max_per_day": 4},
        "scheduled_time": None,
    }
    create_schedule(medication_id=medication.id, by=ana.user, now=now, **rule)
    damaged = create_schedule(medication_id=medication.id, by=ana.user, now=now, **rule).object
    Schedule.objects.filter(id=damaged.id).update(cycle_value=[], plan_error="InvalidCycle: cycle_value")
    schedule_at(medication, datetime(2026, 1, 1, 23).time(), now=now)  # noqa: DTZ001
    page = content_of(superuser.get(page_of(ana.user)))
    assert page.index("every day 23:00") < page.index("as needed, at most 4 times a day")
    assert "<code>InvalidCycle: cycle_value</code>" in page


def test_a_damaged_time_zone_does_not_hide_the_page(superuser: Client, ana: Credentials) -> None:
    dose_due(ana.user, timezone.now() - timedelta(minutes=1))
    User.objects.filter(id=ana.user.id).update(timezone="Mars/Olympus")
    assert superuser.get(page_of(ana.user)).status_code == 200


def test_a_device_tells_how_it_is(superuser: Client, ana: Credentials, phone: DeviceToken) -> None:
    superuser.post(button_of("test-push", ana.user))
    (push,) = claim_all().pushes
    outcome = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/x/messages/1")
    queue.mark([queue.PushResult(push, {str(phone.id): outcome}, None)])
    PushDelivery.objects.update(arrived_at=timezone.now())
    page = content_of(superuser.get(page_of(ana.user)))
    assert "reachable" in page
    assert "FCM accepted it at" in page
    assert "arrived" in page
    assert "token-of-Ana" not in page
    DeviceToken.objects.update(silent_since=timezone.now())
    assert "silent" in content_of(superuser.get(page_of(ana.user)))


@pytest.mark.parametrize("language", ["en", "ko", "ja"])
def test_the_page_fits_a_strict_policy_in_every_language(
    superuser: Client, ana: Credentials, phone: DeviceToken, language: str
) -> None:
    dose_due(ana.user, timezone.now() - timedelta(minutes=1))
    for address in (page_of(ana.user), button_of("deactivate", ana.user)):
        content = content_of(superuser.get(address, headers={"accept-language": language}))
        assert not re.search(r"<style|style=|<script|\son\w+=", content)
