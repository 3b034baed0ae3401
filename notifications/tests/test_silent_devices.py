from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from dosing.actions.doses import skip_dose, snooze_dose, take_dose
from dosing.models import DoseLog
from medtrack.database.clock import database_now
from medtrack.database.ids import first_id
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import claim_all, device_of, dose_due, revoked
from medtrack.tests.support.database_role import OWNER, acting_as
from medtrack.tests.support.planner import forget_statistics
from notifications import queue, silent_devices
from notifications.actions import PushState, acknowledge
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.queue import PushResult
from notifications.silent_devices import PUSHES, clear_silent, mark_silent
from notifications.tasks import clear_silent_devices, mark_silent_devices
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials
from users.actions.sessions import open_session
from users.models import Session, User

_numbers = count()


def push(user: User, *, doses: int = 1) -> None:
    """One push to all phones of this person, accepted and never heard of again."""
    now = timezone.now()
    for _ in range(doses):
        dose_due(user, now - timedelta(seconds=1), medicine=f"Medicine {next(_numbers)}")
    queue.enqueue()
    send()


def send() -> None:
    results = []
    for claimed in claim_all().pushes:
        accepted = {
            device: FcmResult(FcmResultKind.ACCEPTED, message_id=f"projects/p/messages/{next(_numbers)}")
            for device in claimed.devices
        }
        results.append(PushResult(claimed, accepted, None))
    assert results
    queue.mark(results)


@pytest.fixture
def phone(ana: Credentials) -> DeviceToken:
    return device_of(ana.user, now=database_now() - timedelta(minutes=1))


@pytest.fixture
def silent_phone(ana: Credentials, phone: DeviceToken) -> DeviceToken:
    """Ten pushes, and not a word."""
    DeviceToken.objects.update(owned_since=F("owned_since") - timedelta(days=30))
    for _ in range(PUSHES):
        push(ana.user)
    return phone


def found() -> int:
    return mark_silent(now=database_now())


def test_a_phone_that_acknowledges_nothing_is_silent_since_the_first_of_its_last_pushes(
    as_ana: Client, silent_phone: DeviceToken
) -> None:
    assert [found(), found()] == [1, 0]
    silent_phone.refresh_from_db()
    first = PushDelivery.objects.earliest("answered_at")
    assert silent_phone.silent_since == first.answered_at
    (shown,) = as_ana.get("/api/v1/devices").json()["results"]
    assert shown["silent_since"] == first.answered_at.isoformat().replace("+00:00", "Z")


def test_the_tick_marks_them(silent_phone: DeviceToken) -> None:
    mark_silent_devices()
    assert DeviceToken.objects.filter(silent_since__isnull=False).count() == 1


def test_one_acknowledgement_among_the_last_pushes_is_enough(silent_phone: DeviceToken) -> None:
    last = PushDelivery.objects.order_by("answered_at")[1]
    PushDelivery.objects.filter(id=last.id).update(arrived_at=timezone.now())
    assert found() == 0


def test_an_acknowledgement_before_the_last_pushes_is_too_old(
    ana: Credentials, silent_phone: DeviceToken
) -> None:
    first = PushDelivery.objects.earliest("answered_at")
    PushDelivery.objects.filter(id=first.id).update(arrived_at=first.answered_at)
    assert found() == 0
    push(ana.user)
    assert found() == 1


def test_doses_of_one_push_are_one_push(ana: Credentials, phone: DeviceToken) -> None:
    for _ in range(PUSHES - 1):
        push(ana.user, doses=2)
    assert found() == 0
    push(ana.user)
    assert found() == 1


def test_what_shows_nothing_and_what_fcm_refused_does_not_count(
    ana: Credentials, silent_phone: DeviceToken
) -> None:
    last = NotificationLog.objects.latest("id")
    assert last.dose_id is not None
    take_dose(dose_id=last.dose_id, by=ana.user, now=timezone.now())
    queue.enqueue()
    send()
    assert NotificationLog.objects.filter(kind="withdraw", status="accepted").count() == 1
    NotificationLog.objects.filter(id=last.id).delete()
    assert found() == 0


def registers(phone: DeviceToken) -> None:
    device_of(phone.user, phone.token, now=database_now())


def refreshes(phone: DeviceToken) -> None:
    assert phone.session
    Session.objects.filter(id=phone.session.id).update(last_used_at=database_now())


def takes_a_dose(phone: DeviceToken) -> None:
    dose = DoseLog.objects.filter(user=phone.user, status="pending").latest("due_at")
    take_dose(dose_id=dose.id, by=phone.user, session=phone.session, now=database_now())


def skips_a_dose(phone: DeviceToken) -> None:
    dose = DoseLog.objects.filter(user=phone.user, status="pending").latest("due_at")
    skip_dose(dose_id=dose.id, by=phone.user, session=phone.session, now=database_now())


def puts_a_dose_off(phone: DeviceToken) -> None:
    dose = DoseLog.objects.filter(user=phone.user, status="pending").latest("due_at")
    snooze_dose(dose_id=dose.id, by=phone.user, session=phone.session, minutes=10, now=database_now())


def opens_an_old_push(phone: DeviceToken) -> None:
    """One before the last ten."""
    old = PushDelivery.objects.filter(device=phone).earliest("answered_at")
    assert phone.session
    acknowledge(
        notification_id=old.notification_id,
        state=PushState.OPENED,
        by=phone.user,
        session=phone.session,
        now=database_now(),
    )


def nothing(phone: DeviceToken) -> None:
    pass


def takes_a_dose_on_another_phone(phone: DeviceToken) -> None:
    other = open_session(user=phone.user, device_name="", now=database_now())
    session = Session.objects.filter(user=other.user).latest("created_at")
    dose = DoseLog.objects.filter(user=phone.user, status="pending").latest("due_at")
    take_dose(dose_id=dose.id, by=phone.user, session=session, now=database_now())


def support_takes_a_dose(phone: DeviceToken) -> None:
    dose = DoseLog.objects.filter(user=phone.user, status="pending").latest("due_at")
    take_dose(dose_id=dose.id, by=phone.user, now=database_now())


SIGNS = [registers, refreshes, takes_a_dose, skips_a_dose, puts_a_dose_off, opens_an_old_push]
NO_SIGNS = [nothing, takes_a_dose_on_another_phone, support_takes_a_dose]


@pytest.mark.parametrize(
    ("deed", "is_silent"),
    [*((deed, False) for deed in SIGNS), *((deed, True) for deed in NO_SIGNS)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_phone_is_called_silent_only_without_a_sign_of_life_among_its_last_pushes(
    ana: Credentials, phone: DeviceToken, deed: Callable[[DeviceToken], None], is_silent: bool
) -> None:
    DeviceToken.objects.update(owned_since=F("owned_since") - timedelta(days=30))
    for _ in range(PUSHES):
        push(ana.user)
    phone.refresh_from_db()
    deed(phone)
    push(ana.user)
    assert found() == is_silent


@pytest.mark.parametrize(
    ("deed", "is_silent"),
    [*((deed, False) for deed in SIGNS), *((deed, True) for deed in NO_SIGNS)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_silent_phone_is_heard_again_by_the_same_signs(
    ana: Credentials, silent_phone: DeviceToken, deed: Callable[[DeviceToken], None], is_silent: bool
) -> None:
    mark_silent_devices()
    silent_phone.refresh_from_db()
    deed(silent_phone)
    clear_silent_devices()
    assert DeviceToken.objects.silent().exists() == is_silent
    mark_silent_devices()
    assert DeviceToken.objects.silent().exists() == is_silent


def test_a_phone_whose_last_sign_is_older_than_its_last_pushes_is_silent(
    ana: Credentials, silent_phone: DeviceToken
) -> None:
    registers(silent_phone)
    refreshes(silent_phone)
    assert found() == 0
    for _ in range(PUSHES - 1):
        push(ana.user)
    assert found() == 0
    push(ana.user)
    assert found() == 1


def test_clearing_does_not_touch_those_that_stay_silent(cleo: Credentials, silent_phone: DeviceToken) -> None:
    found()
    device_of(cleo.user)
    DeviceToken.objects.filter(user=cleo.user).update(silent_since=timezone.now() - timedelta(days=1))
    assert clear_silent(now=database_now()) == 1
    assert DeviceToken.objects.silent().get().user == silent_phone.user


def test_a_new_owner_does_not_inherit_the_silence(cleo: Credentials, silent_phone: DeviceToken) -> None:
    device_of(cleo.user, silent_phone.token, now=database_now())
    push(cleo.user)
    assert found() == 0


def test_a_phone_that_was_removed_is_not_called_silent(silent_phone: DeviceToken) -> None:
    revoked(silent_phone, now=database_now())
    assert found() == 0


def test_only_phones_that_were_pushed_to_lately_are_looked_at(silent_phone: DeviceToken) -> None:
    assert mark_silent(now=database_now() + silent_devices.LATELY + timedelta(minutes=1)) == 0
    assert found() == 1


@pytest.mark.breaks_the_engine
def test_pushes_are_found_by_key(db: None) -> None:
    """On a large table: the recent ones by their id, and the last of each phone by the phone's index."""
    now = database_now()
    forget_statistics()
    PushDelivery.objects.bulk_create(
        PushDelivery(
            id=first_id(now - timedelta(minutes=number)),
            notification_id=uuid4(),
            device_id=UUID(int=number % 50),
            outcome="accepted",
            message_id="projects/p/messages/1",
            claimed_at=now,
        )
        for number in range(5000)
    )
    params: dict[str, Any] = {
        "lately": first_id(now - timedelta(hours=2)),
        "pushes": PUSHES,
        "deliveries": 200,
        "days_back": silent_devices.DAYS_BACK,
    }
    with connection.cursor() as cursor:
        with acting_as(OWNER):
            cursor.execute("ANALYZE push_deliveries")
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {silent_devices._MARK.sql}", params)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "push_deliveries_pkey" in plan
    assert "Index Scan Backward using push_deliveries_of_device" in plan
    assert "dose_logs_of_user_by_date" in plan


def test_answers_are_found_by_time_and_silent_phones_by_their_index(db: None) -> None:
    forget_statistics()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {silent_devices._CLEAR.sql}", {"lately": database_now()})
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "dose_events_by_time" in plan
    assert "device_tokens_silent" in plan
