"""The buttons of a patient's page and of a device's page: who may press them, and what they do."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from dosing.models import DoseLog
from medtrack.console.tests.patient_pages import (
    BUTTONS,
    ON_A_DEVICE,
    SEES,
    agent,
    button_of,
    content_of,
    page_of,
    signed_in,
    state,
    told,
)
from medtrack.tests.support.builders import (
    PASSWORD,
    claim_all,
    device_of,
    dose_due,
    medication_of,
    person,
    schedule_at,
    session_of,
)
from notifications import queue
from notifications.actions import MAX_TESTS
from notifications.explanations import Reason
from notifications.models import DeviceToken, NotificationLog
from users.actions import Credentials
from users.models import AccessLog, User


def test_a_button_about_what_is_not_the_patients_is_not_there(
    superuser: Client, ana: Credentials, cleo: Credentials, phone: DeviceToken
) -> None:
    theirs = device_of(cleo.user)
    before = state()
    addresses = [
        *(
            f"do/{name}/{id}/"
            for name in ("test-push", "revoke-device")
            for id in (theirs.id, uuid4(), "x", "%00")
        ),
        *(f"do/end-session/{id}/" for id in (session_of(cleo.user).id, uuid4(), "x")),
        "do/test-push/",
        "do/end-session/",
        f"do/replan/{phone.id}/",
        f"do/nothing/{phone.id}/",
    ]
    for address in addresses:
        for method in (superuser.get, superuser.post):
            assert method(f"/admin/console/patient/{ana.user.id}/{address}").status_code == 404
    assert state() == before


@pytest.mark.parametrize("name", BUTTONS)
def test_a_button_is_for_who_may_press_it(ana: Credentials, phone: DeviceToken, name: str) -> None:
    if name == "reactivate":
        User.objects.filter(id=ana.user.id).update(is_active=False)
    address = button_of(name, ana.user)
    others = {permission for permission in BUTTONS.values() if permission != BUTTONS[name]}
    without, may = agent(*SEES, *others), agent(*SEES, BUTTONS[name])
    assert f'href="{address}"' not in without.get(page_of(ana.user)).content.decode()
    assert f'href="{address}"' in may.get(page_of(ana.user)).content.decode()
    before = state()
    for method in (without.get, without.post):
        assert method(address).status_code == 403
    blind = agent(BUTTONS[name])
    assert blind.post(address).status_code == 403, "the patient's page is for who sees patients"
    assert state() == before
    assert may.get(address).status_code == 200
    assert may.post(address).status_code == 302


# Asking first


@pytest.mark.parametrize("name", BUTTONS)
def test_asking_changes_nothing(superuser: Client, ana: Credentials, phone: DeviceToken, name: str) -> None:
    dose_due(ana.user, timezone.now() + timedelta(hours=1))
    before = state()
    page = superuser.get(button_of(name, ana.user))
    assert page.status_code == 200
    assert ("csrfmiddlewaretoken" in content_of(page)) == (name != "reactivate"), (
        "an active account is active"
    )
    assert superuser.head(button_of(name, ana.user)).status_code == 200
    assert superuser.put(button_of(name, ana.user)).status_code == 405
    assert state() == before
    assert not AccessLog.objects.filter(action="act").exists()


@pytest.mark.parametrize("name", BUTTONS)
def test_pressing_takes_a_token_of_ours(ana: Credentials, phone: DeviceToken, name: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("staff@example.com", PASSWORD))
    before = state()
    assert strict.post(button_of(name, ana.user)).status_code == 403
    assert state() == before


@pytest.mark.parametrize("name", BUTTONS)
def test_who_pressed_what_is_written_down(
    superuser: Client, ana: Credentials, phone: DeviceToken, name: str
) -> None:
    superuser.post(button_of(name, ana.user))
    entry = AccessLog.objects.get(action="act")
    assert entry.patient_id == ana.user.id
    assert entry.details == {
        "button": name,
        "outcome": "nothing_to_do" if name == "reactivate" else "done",
    }


def test_what_is_not_written_down_is_not_done(
    superuser: Client, ana: Credentials, phone: DeviceToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError

    monkeypatch.setattr("medtrack.console.patient.actions.record_action", fail)
    before = state()
    for name in BUTTONS:
        with pytest.raises(OSError):  # noqa: PT011 - it is ours
            superuser.post(button_of(name, ana.user))
    assert state() == before


# What the buttons do


def test_a_test_push_is_that_of_the_api(superuser: Client, ana: Credentials, phone: DeviceToken) -> None:
    response = superuser.post(button_of("test-push", ana.user), follow=True)
    assert "A test push is on its way" in told(response)
    assert (
        signed_in(ana).post(f"/api/v1/devices/{phone.id}/test", content_type="application/json").status_code
        == 202
    )
    ours, theirs = NotificationLog.objects.order_by("id").values(
        "user_id", "device_id", "kind", "status", "dose_id"
    )
    assert ours == theirs
    assert [push.devices for push in claim_all().pushes] == [{str(phone.id): phone.token}] * 2


def test_too_many_test_pushes_are_refused_in_words(
    superuser: Client, ana: Credentials, phone: DeviceToken
) -> None:
    for _ in range(MAX_TESTS):
        superuser.post(button_of("test-push", ana.user))
    response = superuser.post(button_of("test-push", ana.user), follow=True)
    assert "There were enough test pushes" in told(response)
    assert NotificationLog.objects.count() == MAX_TESTS
    assert AccessLog.objects.filter(action="act").latest("id").details["outcome"] == "refused"


def test_a_revoked_device_gets_nothing_as_when_its_owner_removes_it(
    superuser: Client, ana: Credentials, phone: DeviceToken
) -> None:
    response = superuser.post(button_of("revoke-device", ana.user), follow=True)
    assert "No more pushes are sent to" in told(response)
    phone.refresh_from_db()
    assert phone.revoke_reason == "removed_by_support"
    assert phone.revoked_at
    assert "Support removed it." in content_of(response)
    assert "Nothing is sent to this device any more" in told(
        superuser.post(button_of("test-push", ana.user), follow=True)
    )
    assert NotificationLog.objects.count() == 0


def test_ended_sessions_are_over_for_the_api(superuser: Client, ana: Credentials) -> None:
    one = button_of("end-session", ana.user)
    superuser.post(one)
    assert signed_in(ana).get("/api/v1/me").status_code == 401
    assert "had already ended" in told(superuser.post(one, follow=True))
    assert "had already ended" in content_of(superuser.get(one))
    again = person("Again")
    assert "1 session has ended." in told(superuser.post(button_of("end-sessions", again.user), follow=True))
    assert signed_in(again).get("/api/v1/me").status_code == 401
    assert "There was no session" in told(superuser.post(button_of("end-sessions", again.user), follow=True))


def test_planning_anew_brings_back_what_is_missing(superuser: Client, ana: Credentials) -> None:
    now = timezone.now()
    schedule_at(medication_of(ana.user), (now + timedelta(hours=1)).time(), now=now)
    planned = list(DoseLog.objects.values_list("due_at", flat=True))
    DoseLog.objects.all().delete()
    response = superuser.post(button_of("replan", ana.user), follow=True)
    assert f"{len(planned)} dose" in told(response)
    assert list(DoseLog.objects.values_list("due_at", flat=True)) == planned
    superuser.post(button_of("replan", ana.user))
    assert list(DoseLog.objects.values_list("due_at", flat=True)) == planned


def test_an_account_is_deactivated_and_comes_back_with_its_doses(superuser: Client, ana: Credentials) -> None:
    now = timezone.now()
    schedule_at(medication_of(ana.user), (now + timedelta(hours=1)).time(), now=now)
    planned = list(DoseLog.objects.values_list("due_at", flat=True))
    off, on = button_of("deactivate", ana.user), button_of("reactivate", ana.user)
    assert "account is deactivated" in told(superuser.post(off, follow=True))
    assert "deactivated" in content_of(superuser.get(page_of(ana.user)))
    assert not DoseLog.objects.exists()
    assert "was already deactivated" in told(superuser.post(off, follow=True))
    assert "active again" in told(superuser.post(on, follow=True))
    assert list(DoseLog.objects.values_list("due_at", flat=True)) == planned
    assert "was already active" in told(superuser.post(on, follow=True))


def test_a_reminder_that_waits_is_moot_once_its_account_rests(
    superuser: Client, ana: Credentials, phone: DeviceToken
) -> None:
    dose_due(ana.user, timezone.now() - timedelta(seconds=1))
    queue.enqueue()
    superuser.post(button_of("deactivate", ana.user))
    assert claim_all().pushes == []
    assert NotificationLog.objects.get().reason == Reason.USER_INACTIVE


def test_pressing_twice_does_it_once(superuser: Client, ana: Credentials, phone: DeviceToken) -> None:
    address = button_of("revoke-device", ana.user)
    superuser.post(address)
    after = state()
    assert "was already revoked" in told(superuser.post(address, follow=True))
    assert state() == after
    assert "was already revoked" in content_of(superuser.get(address))
    assert "csrfmiddlewaretoken" not in content_of(superuser.get(address))


# The devices' own pages


OPERATES = ("notifications.view_devicetoken", "console.send_test_push", "console.revoke_device")


def test_who_runs_the_engine_has_both_buttons_without_seeing_patients(
    ana: Credentials, phone: DeviceToken
) -> None:
    operator = agent(*OPERATES)
    device = f"/admin/notifications/devicetoken/{phone.id}"
    links = operator.get(f"{device}/change/").content.decode()
    for name in ("test-push", "revoke-device"):  # in this order: nothing goes to a revoked one
        assert f'href="{device}/do/{name}/"' in links
        before = state()
        asked = operator.get(f"{device}/do/{name}/")
        assert asked.status_code == 200
        assert "Ana" not in asked.content.decode()
        assert state() == before
        assert operator.post(f"{device}/do/{name}/", follow=True).status_code == 200
        assert state() != before
    phone.refresh_from_db()
    assert phone.revoked_at
    assert NotificationLog.objects.get().device_id == phone.id
    assert AccessLog.objects.filter(action="act", patient_id=ana.user.id).count() == 2


def test_the_devices_pages_have_no_other_buttons_and_none_without_the_right(
    ana: Credentials, phone: DeviceToken, superuser: Client
) -> None:
    device = f"/admin/notifications/devicetoken/{phone.id}"
    onlooker = agent("notifications.view_devicetoken")
    assert "/do/" not in onlooker.get(f"{device}/change/").content.decode()
    for name in ON_A_DEVICE:
        assert onlooker.post(f"{device}/do/{name}/").status_code == 403
        assert agent(BUTTONS[name]).post(f"{device}/do/{name}/").status_code == 403
    for name in ("deactivate", "replan", "nothing"):
        assert superuser.post(f"{device}/do/{name}/").status_code == 404
    assert superuser.post(f"/admin/notifications/devicetoken/{uuid4()}/do/test-push/").status_code == 404
    phone.refresh_from_db()
    assert phone.revoked_at is None
