"""One patient's page: who sees which part of it, and what its buttons do."""

import re
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dosing.actions.doses import skip_dose, take_dose
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.status import DoseStatus
from medications.models import Medication
from medtrack.console.models import AccessLog
from medtrack.database.ids import uuid7
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
from notifications.erasing import erase_person
from notifications.explanations import Reason
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials
from users.models import Session, User

SEES = ("console.view_patient",)
BUTTONS = {
    "test-push": "console.send_test_push",
    "revoke-device": "console.revoke_device",
    "end-session": "console.end_sessions",
    "end-sessions": "console.end_sessions",
    "replan": "console.replan",
    "deactivate": "console.deactivate",
    "reactivate": "console.deactivate",
}
ON_A_DEVICE, ON_A_SESSION = {"test-push", "revoke-device"}, {"end-session"}


def agent(*permissions: str) -> Client:
    """Signed in as one of the staff who may do this and no more."""
    user = User.objects.create_user(f"{uuid4().hex}@example.com", PASSWORD, is_staff=True, language="en")
    names = [permission.split(".") for permission in permissions]
    for app, codename in names:
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def superuser(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("staff@example.com", PASSWORD, language="en"))
    return client


@pytest.fixture
def phone(ana: Credentials) -> DeviceToken:
    return device_of(ana.user)


def signed_in(credentials: Credentials) -> Client:
    """As the app: through the API."""
    return Client(headers={"authorization": f"Bearer {credentials.access}"})


def page_of(user: User) -> str:
    return f"/admin/console/patient/{user.id}/change/"


def button_of(name: str, user: User) -> str:
    address = f"/admin/console/patient/{user.id}/do/{name}/"
    if name in ON_A_DEVICE:
        return f"{address}{DeviceToken.objects.get(user=user).id}/"
    return f"{address}{session_of(user).id}/" if name in ON_A_SESSION else address


def told(response: Any) -> str:
    """The message after a redirect."""
    return " ".join(str(message) for message in response.context["messages"])


def content_of(response: Any) -> str:
    html: str = response.content.decode()
    return html[html.index('id="content"') :]


def state() -> list[Any]:
    """Everything that a button could change."""
    return [
        list(model._default_manager.order_by("pk").values())
        for model in (DeviceToken, Session, NotificationLog, DoseLog, Schedule)
    ] + [list(User.objects.filter(is_staff=False).values())]


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

    monkeypatch.setattr("medtrack.console.patient.actions.record_access", fail)
    before = state()
    for name in BUTTONS:
        with pytest.raises(OSError):  # noqa: PT011 - it is ours
            superuser.post(button_of(name, ana.user))
    assert state() == before


# What the buttons do


def test_a_test_push_is_that_of_the_api(superuser: Client, ana: Credentials, phone: DeviceToken) -> None:
    response = superuser.post(button_of("test-push", ana.user), follow=True)
    assert "A test push is on its way" in told(response)
    assert signed_in(ana).post(f"/api/v1/devices/{phone.id}/test").status_code == 202
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
    assert "Nothing is pushed to" in told(response)
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
    assert "had ended before" in told(superuser.post(one, follow=True))
    assert "had ended before" in content_of(superuser.get(one))
    again = person("Again")
    assert "1 session has ended." in told(superuser.post(button_of("end-sessions", again.user), follow=True))
    assert signed_in(again).get("/api/v1/me").status_code == 401
    assert "No session was left" in told(superuser.post(button_of("end-sessions", again.user), follow=True))


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
    assert "not active any more" in told(superuser.post(off, follow=True))
    assert "deactivated" in content_of(superuser.get(page_of(ana.user)))
    assert not DoseLog.objects.exists()
    assert "was not active before" in told(superuser.post(off, follow=True))
    assert "active again" in told(superuser.post(on, follow=True))
    assert list(DoseLog.objects.values_list("due_at", flat=True)) == planned
    assert "was active before" in told(superuser.post(on, follow=True))


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
    assert "had been revoked before" in told(superuser.post(address, follow=True))
    assert state() == after
    assert "had been revoked before" in content_of(superuser.get(address))
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


# The timeline


def lines(page: str) -> list[str]:
    """What every line says, its marks left out."""
    found = re.findall(r'<li class="person-(?:doses|answers|reminders|sign_ins)">(.*?)</li>', page, re.DOTALL)
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
    assert pages == 7, "301 lines, of 50"
    assert len(seen) == len(set(seen)) == 301
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
    assert len(long) == len(short) == 19


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
