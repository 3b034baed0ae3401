"""How many passwords and codes may be tried in the console, and what two tries at once come to."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core.cache import cache
from django.db import connections
from django.test import Client
from pytest_django import Settings

from medtrack.console.sign_in.views import DEVICE_COOKIE
from medtrack.console.tests.staff import (
    CODE,
    LOGIN,
    SECRET,
    code,
    say_password,
    signed_in,
    staff_member,
    with_app,
    without_a_role,
)
from medtrack.development.services.ports import free_port
from medtrack.http.limits import Limit
from medtrack.tests.support.builders import PASSWORD
from users import hashing
from users.models import Session, User

pytestmark = pytest.mark.django_db


INDEX = "/admin/"


@pytest.fixture(autouse=True)
def _second_factor_required(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = True
    cache.clear()


@pytest.fixture
def limits(settings: Settings) -> dict[str, Limit]:
    limits = dict(settings.THROTTLES)
    settings.THROTTLES = limits
    return limits


def is_in(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


# Throttles


def test_too_many_passwords_are_refused_before_they_are_looked_at(limits: dict[str, Limit]) -> None:
    limits["login_account"] = Limit(2, 900, pause=900)
    user = with_app(staff_member("Sofia"))
    assert [say_password(Client(), user, "wrong").status_code for _ in range(2)] == [200, 200]
    assert Client().post(LOGIN, {"login": f"\u3000{user.email} ", "password": "wrong"}).status_code == 429
    refused = say_password(Client(), user)
    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (429, True)
    assert "Request was throttled" in refused.content.decode()
    assert say_password(Client(), user, REMOTE_ADDR="198.51.100.9").status_code == 302


def test_a_browser_that_signed_in_before_gets_in_while_others_guess(limits: dict[str, Limit]) -> None:
    limits["login"] = limits["login_everywhere"] = Limit(2, 900, pause=900)
    user, known = with_app(staff_member("Sofia")), Client()
    say_password(known, user)
    assert DEVICE_COOKIE not in known.cookies
    assert known.post(CODE, {"code": code()}).status_code == 302
    cookie = known.cookies[DEVICE_COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (INDEX, True, "Lax")
    known.post("/admin/logout/")
    # The codes of a stranger count, too, by address.
    assert say_password(Client(), user, "wrong").status_code == 429
    assert say_password(Client(), user, REMOTE_ADDR="198.51.100.9").status_code == 302
    assert say_password(Client(), user, REMOTE_ADDR="198.51.100.8").status_code == 429
    assert say_password(known, user).status_code == 302
    assert known.post(CODE, {"code": code(steps_away=1)}).status_code == 302
    assert is_in(known)


def test_the_browser_of_one_account_is_a_stranger_to_another(limits: dict[str, Limit]) -> None:
    limits["login_everywhere"] = Limit(1, 900, pause=900)
    user, other, client = without_a_role("Sofia"), without_a_role("Olga"), Client()
    say_password(client, with_app(user))
    client.post(CODE, {"code": code()})
    client.post("/admin/logout/")
    assert say_password(Client(), other, "wrong").status_code == 200
    assert say_password(client, other).status_code == 429
    for typed in ("\0", "sofia@example.com\0"):
        assert client.post(LOGIN, {"login": typed, "password": PASSWORD}).status_code == 200
    assert say_password(client, user).status_code == 302


def test_while_another_password_is_hashed_staff_are_asked_to_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.STAFF_SECOND_FACTOR = False
    settings.PASSWORD_HASHES_WAITING = 0
    user = staff_member("Sofia")
    client = signed_in(user)
    change = {"old_password": PASSWORD, "new_password1": "x", "new_password2": "x"}
    for waiting in (0, 1):
        # With a place to wait, it is the hash inside the form that gives up.
        settings.PASSWORD_HASHES_WAITING = waiting
        monkeypatch.setattr(hashing, "WAIT_SECONDS", 0.01)
        with hashing.SLOT:
            refused = say_password(Client(), user), client.post("/admin/password_change/", change)
        for answer in refused:
            assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (503, True)
            assert "Too many people are signing in" in answer.content.decode()
    assert say_password(Client(), user).status_code == 302


def test_an_old_hash_of_staff_is_replaced_and_their_session_stays(settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = False
    user, client = staff_member("Sofia"), Client()
    User.objects.filter(pk=user.pk).update(password=Argon2PasswordHasher().encode(PASSWORD, "salt" * 6))
    say_password(client, user)
    assert is_in(client)
    assert User.objects.get(pk=user.pk).password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_admin_and_the_api_count_the_same_guesses(as_nobody: Any, limits: dict[str, Limit]) -> None:
    limits["login_everywhere"] = Limit(2, 900, pause=900)
    user = staff_member("Sofia")
    say_password(Client(), user, "wrong")
    body = {"email": user.email, "password": "wrong"}
    assert as_nobody.post("/api/v1/auth/login", body, format="json").status_code == 401
    assert say_password(Client(), user).status_code == 429


def test_too_many_codes_are_refused_whichever_address_they_come_from(limits: dict[str, Limit]) -> None:
    limits["code"] = Limit(2, 900, pause=900)
    user, client = with_app(staff_member("Sofia")), Client()
    say_password(client, user)
    for number, expected in enumerate((200, 200, 429)):
        typed = code() if expected == 429 else "000000"
        address = {"REMOTE_ADDR": f"198.51.100.{number}"}
        assert client.post(CODE, {"code": typed}, **address).status_code == expected  # type: ignore[arg-type]
    assert not is_in(client)


def test_guesses_at_the_codes_of_a_session_count_too(limits: dict[str, Limit], settings: Settings) -> None:
    limits["code"] = Limit(1, 900, pause=900)
    client = signed_in(with_app(staff_member("Sofia")))
    again = "/admin/account/again/"
    assert [client.post(again, {"code": "000000"}).status_code for _ in range(2)] == [200, 429]


def test_guesses_at_changing_the_password_count_too(limits: dict[str, Limit], settings: Settings) -> None:
    settings.STAFF_SECOND_FACTOR = False
    limits["login_device"] = Limit(2, 900, pause=900)
    user = staff_member("Sofia")
    client = signed_in(user)
    new = {"new_password1": "another horse battery", "new_password2": "another horse battery"}
    page = "/admin/password_change/"
    assert client.post(page, {"old_password": "wrong", **new}).status_code == 200
    assert Session.objects.filter(user=user, revoked_at=None).count() == 1
    assert client.post(page, {"old_password": PASSWORD, **new}).status_code == 302
    assert not Session.objects.filter(user=user, revoked_at=None).exists()
    assert is_in(client)
    assert client.post(page, {"old_password": PASSWORD, **new}).status_code == 429


@pytest.fixture(params=["refuses", "says nothing"])
def no_redis(request: pytest.FixtureRequest, settings: Settings) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = free_port() if request.param == "refuses" else silent.getsockname()[1]
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
        yield


def test_while_nobody_counts_nobody_signs_in(no_redis: None) -> None:
    user, client = with_app(staff_member("Sofia")), Client()
    refused = say_password(client, user)
    assert refused.status_code == 503
    assert "Signing in is not possible at the moment." in refused.content.decode()
    assert client.get(CODE).status_code == 302


def at_once(times: int, deed: Any) -> list[int]:
    start = Barrier(times)

    def do(number: int) -> int:
        start.wait()
        try:
            status: int = deed(number)
        finally:
            connections.close_all()
        return status

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(do, range(times)))


@pytest.mark.django_db(transaction=True)
def test_at_once_exactly_as_many_passwords_are_looked_at_as_the_limit_says(
    limits: dict[str, Limit], settings: Settings
) -> None:
    settings.PASSWORD_HASHES_WAITING = 12
    limits["login_account"] = Limit(5, 900, pause=900)
    user = without_a_role()
    statuses = at_once(12, lambda _number: say_password(Client(), user, "wrong").status_code)
    assert sorted(statuses) == [200] * 5 + [429] * 7


@pytest.mark.django_db(transaction=True)
def test_of_the_same_code_at_once_one_use_wins() -> None:
    user = with_app(without_a_role())
    clients = [Client() for _ in range(6)]
    for client in clients:
        say_password(client, user)
    now = code()

    def use(number: int) -> int:
        cache.clear()
        return clients[number].post(CODE, {"code": now}).status_code

    assert sorted(at_once(6, use)) == [200] * 5 + [302]
    assert SECRET not in str(Authenticator.objects.values_list("data"))


@pytest.mark.django_db(transaction=True)
def test_of_the_same_recovery_code_at_once_one_use_wins() -> None:
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    user = with_app(without_a_role())
    spare = RecoveryCodes.activate(user).generate_codes()[0]
    clients = [Client() for _ in range(6)]
    for client in clients:
        say_password(client, user)
    statuses = at_once(6, lambda number: clients[number].post(CODE, {"code": spare}).status_code)
    assert sorted(statuses) == [200] * 5 + [302]
