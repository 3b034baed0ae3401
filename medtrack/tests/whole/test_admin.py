"""Staff see every table, and change nothing."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dosing.models import DoseLog
from medtrack.tests.support.builders import PASSWORD, claim_all, device_of, dose_due, push_a_test
from notifications import queue
from notifications.models import DeviceToken, NotificationLog
from users.actions import Credentials
from users.models import User

OURS = [model for model in admin.site._registry if model._meta.app_label not in ("auth", "account", "mfa")]


@pytest.fixture
def staff(db: None, settings: object) -> Client:
    User.objects.create_superuser("staff@example.com", PASSWORD, language="en")
    client = Client()
    assert client.login(username="STAFF@example.com", password=PASSWORD)
    return client


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.db_table)
def test_staff_see_every_table_and_its_rows(staff: Client, ana: Credentials, model: type[User]) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now())
    queue.enqueue()
    meta = model._meta
    listing = f"/admin/{meta.app_label}/{meta.model_name}/"
    assert staff.get(listing).status_code == 200
    assert staff.get(f"{listing}?q=ana").status_code == 200
    assert staff.get(f"{listing}add/").status_code == 403
    row = model._default_manager.last()  # the first person is staff, and no patient
    if row is not None:
        page = staff.get(f"{listing}{row.pk}/change/")
        assert page.status_code == 200
        assert b'name="_save"' not in page.content
        assert b"token-of-Ana" not in page.content


def test_what_staff_search_for_is_not_logged(staff: Client, capsys: pytest.CaptureFixture[str]) -> None:
    staff.get("/admin/medications/medication/?q=canary")
    logged = capsys.readouterr().out
    assert "GET /admin/medications/medication/" in logged
    assert "canary" not in logged


def test_the_admin_writes_no_groups_and_redirects_nowhere(staff: Client) -> None:
    assert staff.get("/admin/auth/group/add/").status_code == 404
    assert staff.get("/admin/r/1/abc/").status_code == 404


def test_patients_cannot_open_the_admin(ana: Credentials) -> None:
    client = Client()
    client.force_login(ana.user)
    assert client.get("/admin/").status_code == 302


WHY = "Why did no reminder come?"


@pytest.fixture
def reminder(ana: Credentials) -> NotificationLog:
    device_of(ana.user)
    dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()
    claim_all()
    return NotificationLog.objects.get()


def trace_of(reminder: NotificationLog) -> str:
    return f"/admin/notifications/notificationlog/dose/{reminder.dose_id}/"


def test_a_dose_and_its_reminder_lead_to_why_no_reminder_came(
    staff: Client, reminder: NotificationLog
) -> None:
    for page in (
        f"/admin/dosing/doselog/{reminder.dose_id}/change/",
        f"/admin/notifications/notificationlog/{reminder.id}/change/",
    ):
        assert f'<a href="{trace_of(reminder)}">{WHY}</a>' in staff.get(page).content.decode()
    page = staff.get(trace_of(reminder)).content.decode()
    assert "The reminder is being sent at this moment." in page
    for code in ("planned", "enqueued", "claimed"):
        assert f"<code>{code}</code>" in page
    content = page[page.index('id="content"') :]
    assert "<style" not in content
    assert "style=" not in content


def test_a_test_push_has_no_dose_to_explain(staff: Client, ana: Credentials) -> None:
    test = push_a_test(device_of(ana.user), now=timezone.now())
    page = staff.get(f"/admin/notifications/notificationlog/{test.id}/change/")
    assert page.status_code == 200
    assert WHY not in page.content.decode()


def test_the_story_of_a_dose_that_is_gone_is_still_told(staff: Client, reminder: NotificationLog) -> None:
    DoseLog.objects.all().delete()
    NotificationLog.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    page = staff.get(trace_of(reminder)).content.decode()
    assert "no_longer_wanted: dose_removed" in page
    unknown = "00000000-0000-0000-0000-000000000000"
    assert staff.get(f"/admin/notifications/notificationlog/dose/{unknown}/").status_code == 404


def test_the_story_is_told_in_korean(staff: Client, reminder: NotificationLog) -> None:
    page = staff.get(trace_of(reminder), HTTP_ACCEPT_LANGUAGE="ko").content.decode()
    assert "알림이 왜 오지 않았나요?" in page
    assert "알림을 지금 보내고 있습니다." in page


def test_the_story_takes_rights_to_see_doses_and_reminders(db: None, reminder: NotificationLog) -> None:
    agent = User.objects.create_user("agent@example.com", PASSWORD, is_staff=True)
    client = Client()
    client.force_login(agent)
    rights = Permission.objects.filter(codename__in=["view_doselog", "view_notificationlog"])
    for right in rights:
        assert client.get(trace_of(reminder)).status_code == 403
        agent.user_permissions.add(right)
    assert client.get(trace_of(reminder)).status_code == 200
    assert Client().get(trace_of(reminder)).status_code == 302


def test_a_long_story_takes_no_more_queries(
    staff: Client, ana: Credentials, reminder: NotificationLog
) -> None:
    staff.get(trace_of(reminder))
    with CaptureQueriesContext(connection) as short:
        staff.get(trace_of(reminder))
    for number in range(3):
        device_of(ana.user, f"phone-{number}")
    for attempt in range(3):
        NotificationLog.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        claim_all(timedelta(seconds=25 + attempt))
    with CaptureQueriesContext(connection) as long:
        staff.get(trace_of(reminder))
    assert len(long) == len(short)


def test_staff_find_silent_devices(staff: Client, ana: Credentials) -> None:
    device_of(ana.user, "loud")
    silent = device_of(ana.user, "silent")
    DeviceToken.objects.filter(id=silent.id).update(silent_since=timezone.now())
    page = staff.get("/admin/notifications/devicetoken/?silent_since__isempty=0").content.decode()
    assert page.count('class="field-silent_since') == 1
