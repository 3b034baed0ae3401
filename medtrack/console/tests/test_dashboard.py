"""What staff see first: every number leads to as many rows, and what is wrong is said in words."""

import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from html import unescape
from itertools import cycle
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from dosing.models import DoseLog, Schedule
from medtrack.console.dashboard.elements import Figure
from medtrack.console.dashboard.page import Dashboard, dashboard
from medtrack.console.tests.test_figures import random_reminders
from medtrack.database.clock import database_now
from medtrack.tests.support.builders import PASSWORD, device_of, dose_due, medication_of, person, schedule_at
from notifications import queue
from notifications.engine_state import record_heartbeat
from notifications.models import (
    DeviceToken,
    EngineCheck,
    Heartbeat,
    NotificationLog,
    PushDelivery,
    TaskRun,
)
from notifications.task_runs import record_failure, record_success
from notifications.violations import INVARIANTS
from users.models import User

SECTIONS = {
    "dosing.view_doselog",
    "dosing.view_schedule",
    "notifications.view_notificationlog",
    "notifications.view_pushdelivery",
    "notifications.view_devicetoken",
    "notifications.view_enginecheck",
}
STATEMENTS = (
    17  # session, person, time, and one for each of the figures; two for the late doses and FCM's answers
)


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("staff@example.com", PASSWORD, language="en", timezone="UTC")


@pytest.fixture
def staff(superuser: User) -> Client:
    return signed_in(superuser)


@pytest.fixture
def alive(db: None) -> None:
    for process in Heartbeat.Process.values:
        record_heartbeat(process)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def agent(*permissions: str) -> User:
    user = User.objects.create_user("agent@example.com", PASSWORD, is_staff=True, timezone="UTC")
    for name in permissions:
        label, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=label, codename=codename))
    return user


def figures(shown: Dashboard) -> list[Figure]:
    found = [figure for card in (shown.doses, *shown.cards) for figure in card.figures]
    return [*found, *shown.reminders.legend, *(each for row in shown.reminders.rows for each in row.figures)]


def zone_where_it_is(hour: int, now: datetime) -> str:
    """The time zone with a fixed offset in which this hour has begun."""
    offset = hour - now.hour if hour - now.hour >= -12 else hour - now.hour + 24
    return f"Etc/GMT{-offset:+d}"  # POSIX counts west of Greenwich


def fill() -> None:
    """Something for every number. None of them changes within the next minutes, whatever the time is."""
    chance, now = Random(5), timezone.now()
    # No patient is near midnight, and no dose is due within half an hour.
    minute = (now.minute + 30) % 60
    statuses = cycle(["taken", "skipped", "missed", "pending"])
    for name, hour in (("Ana", 11), ("Ben", 12), ("Cleo", 13)):
        user = person(name, timezone=zone_where_it_is(hour, now)).user
        medication = medication_of(user)
        midnight = now.astimezone(user.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        for at in (0, 5, 9, 14, 20, 23):
            schedule_at(medication, time(at, minute), now=midnight - timedelta(hours=1))
        for dose in DoseLog.objects.filter(user=user, log_date=midnight.date()).order_by("due_at"):
            status = next(statuses)
            recorder = user if status in ("taken", "skipped") else None
            taken_at = dose.due_at if status == "taken" else None
            DoseLog.objects.filter(id=dose.id).update(status=status, taken_at=taken_at, recorded_by=recorder)
    device = device_of(user)
    device_of(user, "another")
    DeviceToken.objects.filter(id=device.id).update(silent_since=now)
    reminders = random_reminders(user, device, now, chance)
    for reminder in reminders:
        if now < reminder.send_at <= now + timedelta(minutes=10):
            reminder.send_at += timedelta(minutes=10)
            reminder.expires_at += timedelta(minutes=10)
        if reminder.status == "queued" and chance.random() < 0.3:
            reminder.retry_at = now
    NotificationLog.objects.bulk_create(reminders)
    PushDelivery.objects.bulk_create(
        PushDelivery(
            notification=reminder,
            device=device,
            outcome=outcome,
            message_id="m" if outcome == "accepted" else "",
            error_code="" if outcome == "accepted" else "UNREGISTERED",
            claimed_at=now,
            arrived_at=now if outcome == "accepted" and n % 2 else None,
        )
        for n, reminder in enumerate(reminders[:60])
        for outcome in [chance.choice(["accepted", "retry", "dead"])]
    )
    Schedule.objects.filter(id=Schedule.objects.order_by("id")[0].id).update(
        plan_error="This cannot be read."
    )
    EngineCheck.objects.create(seconds=1, violations={"I2": 3})


def test_every_number_leads_to_as_many_rows(superuser: User, staff: Client) -> None:
    fill()
    shown = dashboard(viewer=superuser, now=database_now())
    names = set()
    for figure in figures(shown):
        if not figure.url or not figure.value.replace(",", "").isdigit():
            continue
        if "enginecheck" in figure.url:  # the rows are checks, the number is of what the newest found
            continue
        page = staff.get(figure.url)
        assert page.status_code == 200, figure
        assert page.context["cl"].queryset.count() == int(figure.value.replace(",", "")), figure
        if figure.value != "0":
            names.add(figure.name)
    assert names >= {
        *("due by now", "taken", "skipped", "missed", "still open", "sent", "late", "failed", "dead"),
        *("waiting", "overdue", "failed, to be tried again", "accepted by FCM", "seen by the phone"),
        *("to be sent again", "silent devices, now", "reminders without a device", "schedules set aside"),
    }


@pytest.mark.parametrize("missing", sorted(SECTIONS))
def test_who_may_not_see_the_rows_sees_the_number_without_a_link(db: None, missing: str) -> None:
    fill()
    viewer = agent(*(SECTIONS - {missing}))
    shown = dashboard(viewer=viewer, now=database_now())
    model = missing.removeprefix("dosing.view_").removeprefix("notifications.view_")
    linked = {figure.url.split("/")[3] for figure in figures(shown) if figure.url}
    linked |= {notice.url.split("/")[3] for notice in shown.notices if notice.url}
    assert linked == {name.split("_")[1] for name in SECTIONS - {missing}}
    assert model not in linked
    page = signed_in(viewer).get("/admin/").content.decode()
    assert f"/{model}/?" not in page


def test_what_the_check_found_is_for_those_who_look_after_the_engine(db: None) -> None:
    EngineCheck.objects.create(seconds=1, violations={"I2": 3})
    viewer = agent()
    client = signed_in(viewer)
    assert "violations" not in client.get("/admin/").content.decode()
    with CaptureQueriesContext(connection) as asked:
        client.get("/admin/")
    assert not any("engine_checks" in query["sql"] for query in asked.captured_queries)


def test_nobody_is_named(superuser: User) -> None:
    fill()
    page = signed_in(agent()).get("/admin/").content.decode()
    for word in ("Ana", "Ben", "Cleo", "Metformin", "@example.com</a>"):
        assert word not in page


def test_an_empty_database_says_so(staff: Client) -> None:
    page = staff.get("/admin/").content.decode()
    for sentence in (
        "No doses are planned for today.",
        "No reminder was to be sent in these hours.",
        "beat was never heard: nothing is planned or sent.",
        "mailer was never heard: no mails are sent, and the list of patients is not brought up to date.",
        "never checked",
    ):
        assert sentence in page
    assert "All is well" not in page
    assert "NaN" not in page


def test_all_is_well(staff: Client, alive: None) -> None:
    EngineCheck.objects.create(seconds=1)
    page = staff.get("/admin/").content.decode()
    assert "All is well" in page
    assert "Alarm" not in page
    assert "Warning" not in page


def notices(viewer: User) -> dict[str, str]:
    shown = dashboard(viewer=viewer, now=database_now())
    return {notice.text: notice.level for notice in shown.notices}


def test_what_is_wrong_is_said(superuser: User, alive: None) -> None:
    user = person("Ana").user
    device_of(user)
    dose_due(user, timezone.now() - timedelta(minutes=3))
    queue.enqueue()
    Schedule.objects.update(plan_error="This cannot be read.")
    Heartbeat.objects.filter(process="beat").update(at=timezone.now() - timedelta(minutes=61))
    EngineCheck.objects.create(
        seconds=1, violations={"I2": 1200, "I9": 0}, ran_at=timezone.now() - timedelta(days=3)
    )
    assert {text.replace("\xa0", " "): level for text, level in notices(superuser).items()} == {
        "1 dose has been due for 3 minutes without a reminder.": "alarm",
        "The queue is stuck: 1 reminder is overdue, for 3 minutes.": "alarm",
        "beat has been silent for 1 hour: nothing is planned or sent.": "alarm",
        "The last check of the engine found 1,200 violations: "
        "Every reminder reaches every active device (I2, 1,200).": "alarm",
        "The engine was last checked 3 days ago; it should be checked every night.": "warning",
        "1 schedule cannot be planned.": "warning",
    }


def test_a_reminder_that_was_due_a_moment_ago_is_no_alarm(superuser: User, alive: None) -> None:
    user = person("Ana").user
    device_of(user)
    dose_due(user, timezone.now() - timedelta(seconds=20))
    queue.enqueue()
    assert notices(superuser) == {}


@pytest.mark.parametrize(
    ("process", "notice"),
    [
        ("beat", "beat has been silent for 46 seconds: nothing is planned or sent."),
        ("worker", "worker has been silent for 46 seconds: nothing is planned or sent."),
        (
            "mailer",
            "mailer has been silent for 46 seconds: no mails are sent, "
            "and the list of patients is not brought up to date.",
        ),
    ],
)
def test_a_process_that_died_is_an_alarm_within_a_minute(
    superuser: User, alive: None, process: str, notice: str
) -> None:
    now = database_now()
    Heartbeat.objects.filter(process=process).update(at=now - timedelta(seconds=46))
    shown = dashboard(viewer=superuser, now=now)
    assert [notice.text for notice in shown.notices] == [notice]


def test_a_dose_that_nobody_enqueued_is_an_alarm(superuser: User, alive: None) -> None:
    device_of(person("Ana").user)
    dose_due(User.objects.get(name="Ana"), timezone.now() - timedelta(seconds=112))
    (notice,) = notices(superuser)
    assert notice.replace("\xa0", " ") == "1 dose has been due for 1 minute without a reminder."


def test_a_task_that_fails_is_an_alarm(superuser: User, alive: None) -> None:
    record_failure("dosing.tasks.plan_doses", error="OperationalError")
    assert notices(superuser) == {"This fails: planning doses (OperationalError).": "alarm"}
    record_success("dosing.tasks.plan_doses", seconds=1)
    assert notices(superuser) == {}


def test_without_firebase_the_alarm_says_what_to_do(superuser: User, alive: None) -> None:
    record_failure("notifications.tasks.dispatch_reminders", error="FirebaseNotConfigured")
    assert notices(superuser) == {
        "Firebase is not set up, or its key cannot be used: nothing is sent, and reminders stay queued.": "alarm"
    }


def test_a_task_that_does_not_end_is_an_alarm_while_its_processes_live(superuser: User, alive: None) -> None:
    record_success("notifications.tasks.dispatch_reminders", seconds=1)
    TaskRun.objects.update(finished_at=timezone.now() - timedelta(minutes=5))
    (notice,) = notices(superuser)
    assert notice.replace("\xa0", " ") == "This was last done 5 minutes ago: sending reminders."
    Heartbeat.objects.filter(process="beat").update(at=timezone.now() - timedelta(minutes=61))
    (notice,) = notices(superuser)
    assert notice.startswith("beat has been silent")


def test_reminders_without_a_device_are_counted(superuser: User) -> None:
    dose_due(person("Ana").user, timezone.now() - timedelta(seconds=5))
    queue.enqueue()
    queue.claim(limit=10, lease=timedelta(seconds=25))
    shown = dashboard(viewer=superuser, now=database_now())
    (count,) = (each.value for each in figures(shown) if each.name == "reminders without a device")
    assert count == "1"


def test_every_promise_that_is_checked_has_words(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_viewdef('engine_violations'::regclass)")
        checked = set(re.findall(r"'(I\d+|references)'::text", cursor.fetchone()[0]))
    assert checked == set(INVARIANTS)


def test_more_data_takes_no_more_statements(staff: Client) -> None:
    staff.get("/admin/")
    for prepare in (lambda: None, fill):
        prepare()
        with CaptureQueriesContext(connection) as asked:
            staff.get("/admin/")
        assert len(asked) == STATEMENTS


@pytest.mark.parametrize("zone", ["Asia/Seoul", "Asia/Kathmandu", "America/New_York"])
def test_hours_are_those_of_the_staffs_clock(superuser: User, zone: str) -> None:
    superuser.timezone = zone
    now = database_now()
    shown = dashboard(viewer=superuser, now=now)
    local = now.astimezone(superuser.zone)
    assert (shown.as_of, shown.zone) == (f"{local:%Y-%m-%d %H:%M:%S}", zone)
    assert shown.reminders.rows[-1].label == f"{local:%H}:00"


SVG = re.compile(r"<svg class=\"(?:hours|share-bar).*?</svg>", re.DOTALL)


def test_charts_are_well_formed_and_say_what_they_show(staff: Client) -> None:
    fill()
    drawings = SVG.findall(staff.get("/admin/").content.decode())
    assert len(drawings) == 3
    for drawing in drawings:
        svg = ElementTree.fromstring(drawing)
        assert svg.get("role") == "img"
        names = [element for element in svg if element.tag in ("title", "desc")]
        assert all(element.text for element in names)
        referred = (svg.get("aria-labelledby") or "").split()
        assert [element.get("id") for element in names if element.get("id")] == referred


PAGES = ("/admin/", "/admin/login/", "/admin/dosing/doselog/", "/admin/notifications/pushdelivery/")


@pytest.mark.parametrize("path", PAGES)
def test_pages_carry_neither_inline_style_nor_script(superuser: User, path: str) -> None:
    fill()
    client = Client() if "login" in path else signed_in(superuser)
    page = client.get(path).content.decode()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", page))
    assert "https://" not in page
    assert 'href="/static/console/console.css"' in page


def text_of(page: str) -> Iterator[str]:
    body = page[page.index("<body") :].replace("\n", " ")
    for text in re.findall(r">([^<>]+)<", re.sub(r"<script.*?</script>|<!--.*?-->", "", body)):
        if text.strip():
            yield unescape(text).strip()
    yield from map(unescape, re.findall(r'(?:title|aria-label|alt)="([^"]+)"', body))


def in_korean(client: Client, path: str) -> list[str]:
    """What is left to translate: words in Latin letters that are no names, codes or ids."""
    page = client.get(path, headers={"accept-language": "ko"}).content.decode()
    known = re.compile(
        r"MedTrack|English|FCM|UTC|\(?beat\)?|worker|mailer|ID|UNREGISTERED|I\d+|[\w.]+@[\w.]+"
    )
    words = (re.sub(known, "", text) for text in text_of(page))
    return [text for text in words if re.search(r"[A-Za-z]{2}", text)]


def test_the_dashboard_is_all_korean(superuser: User) -> None:
    client = signed_in(superuser)
    assert in_korean(client, "/admin/") == []
    fill()
    assert in_korean(client, "/admin/") == []


def test_the_frame_switches_language_and_stays_on_the_page(staff: Client, superuser: User) -> None:
    page = staff.get("/admin/dosing/doselog/?today=due").content.decode()
    assert '<input type="hidden" name="next" value="/admin/dosing/doselog/?today=due">' in page
    answer = staff.post("/language/", {"language": "ko", "next": "/admin/dosing/doselog/?today=due"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/dosing/doselog/?today=due")
    assert '<html lang="ko"' in staff.get("/admin/").content.decode()
    elsewhere = staff.post("/language/", {"language": "en", "next": "https://evil.example"})
    assert elsewhere["Location"] == "/"
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/language/", {"language": "ko"}).status_code == 403


def test_browsers_find_the_icon(db: None) -> None:
    answer = Client().get("/favicon.ico")
    assert (answer.status_code, answer["Location"]) == (302, "/static/console/favicon.svg")


def labels(model: Any) -> Iterator[tuple[str, str]]:
    for field in model._meta.get_fields():
        if getattr(field, "verbose_name", None) and field.name not in ("id", "password", "last_login"):
            yield field.name, str(field.verbose_name)


def test_every_field_that_staff_see_has_a_korean_name() -> None:
    from django.contrib import admin

    secret = {"refresh_token_hash", "previous_token_hash"}
    with translation.override("ko"):
        for model in admin.site._registry:
            names = [str(model._meta.verbose_name), str(model._meta.verbose_name_plural)]
            names += [label for name, label in labels(model) if name not in secret]
            for name in names:
                assert re.search("[가-힣]", name), (model, name)
