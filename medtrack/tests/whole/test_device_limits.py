"""How many devices an account may have, and which one gives way."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from medtrack.http.person_limits import LimitReached
from medtrack.tests.support.api import Client
from medtrack.tests.support.at_limits import AT_ONCE, HOUR, LONG_AGO, outcomes, phone, sign_in, unseen
from medtrack.tests.support.builders import person, push_a_test, revoked, session_of
from medtrack.tests.support.workers import closing
from notifications import actions as notifications_actions
from notifications.actions import register_device
from notifications.models import DeviceToken, PushDelivery
from notifications.reached_sessions import last_reached
from users.actions import Credentials
from users.models import Session


@pytest.mark.django_db(transaction=True)
def test_of_a_hundred_devices_at_once_no_more_than_the_limit_live(limits: Callable[..., None]) -> None:
    ana = person("Ana").user
    session = session_of(ana)
    limits(devices=7)

    def register(number: int) -> None:
        register_device(by=ana, session=session, token=f"t{number}", platform="ios", now=timezone.now())

    assert outcomes(register) == {"done": 7, "LimitReached": AT_ONCE - 7}
    assert DeviceToken.objects.filter(revoked_at=None).count() == 7


def test_one_device_too_many_retires_the_longest_unseen_one_that_was_not_reached(
    as_ana: Client, ana: Credentials, limits: Callable[..., None]
) -> None:
    limits(devices=4)
    accepted, acknowledged, old, older = (phone(ana.user) for _ in range(4))
    for device in (accepted, acknowledged, old):
        unseen(device, 2 * LONG_AGO)
    unseen(older, 3 * LONG_AGO)
    deliver(accepted, answered_at=timezone.now() - HOUR)
    deliver(acknowledged, answered_at=timezone.now() - 2 * HOUR, arrived_at=timezone.now() - HOUR)
    for gone in (older, old):
        phone(ana.user)
        gone.refresh_from_db()
        assert gone.revoke_reason == "too_many_devices"
    with pytest.raises(LimitReached) as refused, transaction.atomic():
        phone(ana.user)
    assert (refused.value.members, DeviceToken.objects.filter(revoked_at=None).count()) == (
        {"limit": "devices", "number": 4},
        4,
    )
    body = {"token": accepted.token, "platform": "ios"}
    assert as_ana.post("/api/v1/devices", body, format="json").status_code == 200
    answer = as_ana.post("/api/v1/devices", body | {"token": "new"}, format="json")
    assert (answer.status_code, answer.json()["type"], answer.json()["limit"]) == (
        409,
        "LimitReached",
        "devices",
    )
    revoked(accepted, now=timezone.now())
    assert as_ana.post("/api/v1/devices", body | {"token": "new"}, format="json").status_code == 201


def test_a_device_that_nobody_is_signed_in_on_gives_way_first(
    ana: Credentials, limits: Callable[..., None]
) -> None:
    signed_out = phone(ana.user)
    other = sign_in(ana.user, "other")
    old = phone(ana.user)
    unseen(old, LONG_AGO)
    Session.objects.exclude(id=other.id).update(revoked_at=timezone.now())
    limits(devices=2)
    new = phone(ana.user)
    living = DeviceToken.objects.filter(revoked_at=None)
    assert set(living.values_list("id", flat=True)) == {old.id, new.id}
    assert signed_out.id not in living.values_list("id", flat=True)


def deliver(device: DeviceToken, **fields: Any) -> None:
    push = push_a_test(device, now=timezone.now())
    values: dict[str, Any] = {
        "outcome": "accepted",
        "message_id": "1",
        "claimed_at": timezone.now(),
        **fields,
    }
    PushDelivery.objects.create(notification=push, device=device, **values)


def test_a_device_is_reached_by_what_was_accepted_since_it_is_the_persons(ana: Credentials) -> None:
    now = timezone.now()
    device = phone(ana.user)
    unseen(device, LONG_AGO)
    lapsed = now - LONG_AGO
    deliver(device, answered_at=now - HOUR, outcome="dead", message_id="", error_code="UNREGISTERED")
    assert last_reached(ana.user, now=now)[session_of(ana.user).id] < lapsed + HOUR
    deliver(device, answered_at=now - HOUR)
    assert last_reached(ana.user, now=now) == {session_of(ana.user).id: now - HOUR}
    DeviceToken.objects.update(owned_since=now)
    assert last_reached(ana.user, now=now)[session_of(ana.user).id] < lapsed + HOUR
    DeviceToken.objects.update(revoked_at=now, revoke_reason="UNREGISTERED")
    assert last_reached(ana.user, now=now) == {}


@pytest.mark.django_db(transaction=True)
def test_two_people_who_swap_phones_at_their_limit_meet_no_defect(
    limits: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds the row that the other wants to retire: the victim of the deadlock is told to try again."""
    limits(devices=2)
    people = {"a": person("Ana"), "b": person("Ben")}
    for letter, who in people.items():
        for number in range(2):
            unseen(phone(who.user, f"{letter}{number}"), timedelta(days=90 - number))
    both_registered, retire = Barrier(2), notifications_actions._revoke_excess

    def retire_together(new: DeviceToken, now: datetime) -> None:
        both_registered.wait(20)
        retire(new, now)

    monkeypatch.setattr(notifications_actions, "_revoke_excess", retire_together)

    def register(who: Credentials, token: str) -> int:
        body = {"token": token, "platform": "android"}
        return int(Client(who).post("/api/v1/devices", body, format="json").status_code)

    with ThreadPoolExecutor(2) as pool:
        swaps = [
            pool.submit(closing(register), people["a"], "b0"),
            pool.submit(closing(register), people["b"], "a0"),
        ]
        assert {swap.result() for swap in swaps} <= {200, 503}
