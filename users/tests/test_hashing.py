"""One password is hashed at a time, few wait for it, and old hashes are replaced without losing a change."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, check_password
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from medtrack.http.limits import Limit
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD, person, session_of
from medtrack.tests.support.house import eventually
from users import hashing
from users.actions import Credentials, log_in
from users.actions.accounts import InvalidCredentials
from users.actions.passwords import change_password
from users.hashing import SLOT, PasswordsBusy, Slot
from users.links import PasswordLink
from users.models import Session, User

NEW = "another horse battery"
OWASP = "argon2$argon2id$v=19$m=19456,t=2,p=1$"


@pytest.fixture
def nobody_waits(settings: Settings) -> None:
    settings.PASSWORD_HASHES_WAITING = 0


@pytest.fixture
def slot_taken(nobody_waits: None) -> Iterator[None]:
    with SLOT:
        yield


def with_old_hash(user: User) -> str:
    """As before this version: 100 MiB, eight lanes."""
    old = Argon2PasswordHasher().encode(PASSWORD, "salt-of-22-characters-")
    User.objects.filter(id=user.id).update(password=old)
    return old


def test_a_password_is_hashed_with_owasps_parameters(ana: Credentials) -> None:
    assert ana.user.password.startswith(OWASP)


def test_one_holds_the_slot_and_as_many_wait_as_the_setting_says(settings: Settings) -> None:
    settings.PASSWORD_HASHES_WAITING = 2
    slot, order = Slot(), []

    def use(number: int) -> None:
        with slot:
            order.append(number)

    with ThreadPoolExecutor(2) as pool:
        with slot:
            waiting = [pool.submit(use, number) for number in range(2)]
            eventually(lambda: _is_full(slot))
            with pytest.raises(PasswordsBusy), slot:
                pass
            assert order == []
        for each in waiting:
            each.result()
    assert sorted(order) == [0, 1]
    slot.refuse_if_full()


def _is_full(slot: Slot) -> bool:
    try:
        slot.refuse_if_full()
    except PasswordsBusy:
        return True
    return False


def test_who_waited_too_long_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "WAIT_SECONDS", 0.01)
    slot = Slot()

    def use() -> None:
        with slot:
            pass

    with ThreadPoolExecutor(1) as pool:
        with slot:
            for _ in range(3):
                with pytest.raises(PasswordsBusy):
                    pool.submit(use).result()
        pool.submit(use).result()


def post(path: str) -> Callable[[Client, dict[str, Any]], Any]:
    return lambda client, body: client.post(f"/api/v1/auth/{path}", body, format="json")


@pytest.mark.parametrize(
    ("send", "body"),
    [
        (post("signup"), {"email": "dora@example.com", "password": PASSWORD}),
        (post("login"), {"email": "ana@example.com", "password": PASSWORD}),
        (post("login"), {"email": "nobody@example.com", "password": PASSWORD}),
        (post("password/change"), {"password": PASSWORD, "new_password": NEW}),
        (post("password/reset"), {"token": "of a link", "password": NEW}),
        (lambda client, body: client.delete("/api/v1/me", body, format="json"), {"password": PASSWORD}),
    ],
    ids=["sign up", "sign in", "sign in to no account", "change", "reset", "erase"],
)
def test_whatever_hashes_a_password_waits_for_the_slot(
    ana: Credentials, as_ana: Client, slot_taken: None, send: Any, body: dict[str, Any]
) -> None:
    if "token" in body:
        body = body | {"token": PasswordLink(now=timezone.now()).token(ana.user)}
    answer = send(as_ana, body)
    assert (answer.status_code, answer.json()["type"]) == (503, "PasswordsBusy")
    assert int(answer.headers["Retry-After"]) > 0
    assert User.objects.get() == ana.user


def test_a_guess_that_was_not_looked_at_is_not_counted(
    as_nobody: Client, ana: Credentials, settings: Settings
) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login_account": Limit(1, 900, pause=900)}
    settings.PASSWORD_HASHES_WAITING = 0
    body = {"email": "ana@example.com", "password": PASSWORD}
    with SLOT:
        for _ in range(3):
            assert post("login")(as_nobody, body).status_code == 503
    assert post("login")(as_nobody, body).status_code == 200


def test_an_old_hash_is_replaced_when_the_person_signs_in(ana: Credentials) -> None:
    old = with_old_hash(ana.user)
    with pytest.raises(InvalidCredentials):
        log_in(email="ana@example.com", password="wrong", now=timezone.now())
    assert User.objects.get().password == old
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    new = User.objects.get().password
    assert new.startswith(OWASP)
    assert check_password(PASSWORD, new)
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    assert User.objects.get().password == new


def test_a_change_of_password_wins_over_replacing_the_old_hash(ana: Credentials) -> None:
    with_old_hash(ana.user)
    read_before = User.objects.get()
    change_password(
        by=ana.user,
        session_id=session_of(ana.user).id,
        password=PASSWORD,
        new_password=NEW,
        now=timezone.now(),
    )
    assert not read_before.check_password(PASSWORD)
    assert check_password(NEW, User.objects.get().password)


@pytest.mark.django_db(transaction=True)
def test_everybody_who_signs_in_at_once_with_an_old_hash_gets_in(settings: Settings) -> None:
    settings.PASSWORD_HASHES_WAITING = 6
    with_old_hash(person("Ana").user)
    start = Barrier(6)

    def sign_in(_number: int) -> None:
        try:
            connection.ensure_connection()
            start.wait()
            log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(sign_in, range(6)))
    assert Session.objects.filter(revoked_at=None).count() == 7


def test_a_password_with_an_old_hash_can_be_changed_and_erases(ana: Credentials, as_ana: Client) -> None:
    with_old_hash(ana.user)
    change = {"password": PASSWORD, "new_password": NEW}
    assert post("password/change")(as_ana, change).status_code == 204
    with_old_hash(ana.user)
    assert as_ana.delete("/api/v1/me", {"password": PASSWORD}, format="json").status_code == 204
