from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from dosing.actions.doses import take_dose
from medtrack.common.clock import database_now
from medtrack.common.ids import first_id
from medtrack.tests.api import Client
from medtrack.tests.builders import claim_all, device_of, dose_due
from notifications import queue, silence
from notifications.actions import revoke_device
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.queue import Result
from notifications.silence import PUSHES, mark_silent
from notifications.tasks import mark_silent_devices
from notifications.transports.outcomes import Outcome, Verdict
from users.actions import Credentials
from users.models import User

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
            device: Outcome(Verdict.ACCEPTED, message_id=f"projects/p/messages/{next(_numbers)}")
            for device in claimed.devices
        }
        results.append(Result(claimed, accepted, None))
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
    PushDelivery.objects.filter(id=first.id).update(arrived_at=timezone.now())
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


def test_a_phone_that_registers_again_is_heard_until_the_next_push_is_not(
    ana: Credentials, silent_phone: DeviceToken
) -> None:
    found()
    device_of(ana.user, now=database_now())
    assert DeviceToken.objects.get().silent_since is None
    assert found() == 0
    push(ana.user)
    assert found() == 1


def test_a_new_owner_does_not_inherit_the_silence(cleo: Credentials, silent_phone: DeviceToken) -> None:
    device_of(cleo.user, silent_phone.token, now=database_now())
    push(cleo.user)
    assert found() == 0


def test_a_phone_that_was_removed_is_not_called_silent(silent_phone: DeviceToken) -> None:
    revoke_device(device=silent_phone, reason="removed_by_owner", now=database_now())
    assert found() == 0


def test_only_phones_that_were_pushed_to_lately_are_looked_at(silent_phone: DeviceToken) -> None:
    assert mark_silent(now=database_now() + silence.LATELY + timedelta(minutes=1)) == 0
    assert found() == 1


def test_pushes_are_found_by_key(silent_phone: DeviceToken) -> None:
    """On a large table: the recent ones by their id, and the last of each phone by the phone's index."""
    params: dict[str, Any] = {
        "lately": first_id(database_now()),
        "pushes": PUSHES,
        "deliveries": 200,
    }
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {silence._MARK_SILENT}", params)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "push_deliveries_pkey" in plan
    assert "Index Scan Backward using push_deliveries_of_device" in plan
