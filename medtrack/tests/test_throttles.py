"""Limits as the API keeps them: exact under concurrency, telling Redis nothing, and what happens without Redis."""

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import redis
from django.conf import settings as real_settings
from pytest_django import Settings
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from medtrack.common.limits import Limit, with_changes
from medtrack.common.throttles import CountersAway, address, count
from medtrack.embedded.ports import free_port
from medtrack.tests.api import Client
from medtrack.tests.builders import PASSWORD, person
from users.actions import Credentials

LOGIN = {"email": "ana@example.com", "password": PASSWORD}
GUESS = LOGIN | {"password": "wrong"}


@pytest.fixture
def limits(settings: Settings) -> dict[str, Limit]:
    limits = dict(settings.THROTTLES)
    settings.THROTTLES = limits
    return limits


@pytest.fixture(params=["refuses", "says nothing"])
def no_redis(request: pytest.FixtureRequest, settings: Settings) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = free_port() if request.param == "refuses" else silent.getsockname()[1]
        settings.REDIS_URL = f"redis://127.0.0.1:{port}/0"
        yield


def test_under_50_requests_at_once_exactly_the_limit_comes_through(limits: dict[str, Limit]) -> None:
    limits["login"] = Limit(20, 60)
    start = Barrier(50)

    def ask(_number: int) -> bool:
        start.wait()
        try:
            count("login", "somebody")
        except Throttled:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(ask, range(50))) == 20


def test_a_limit_is_per_scope_and_per_key(limits: dict[str, Limit]) -> None:
    limits["login"] = limits["social"] = Limit(1, 60)
    for scope, key in (("login", "ana"), ("login", "ben"), ("social", "ana")):
        count(scope, key)
        with pytest.raises(Throttled):
            count(scope, key)


def test_a_counter_ends_with_its_time_and_not_later_for_being_asked(limits: dict[str, Limit]) -> None:
    limits["login"] = Limit(1, 60)
    count("login", "ana")
    store = redis.Redis.from_url(real_settings.REDIS_URL)
    (name,) = store.keys(f"{real_settings.THROTTLE_PREFIX}:*")
    store.pexpire(name, 30_000)
    with pytest.raises(Throttled) as refused:
        count("login", "ana")
    assert 0 < (getattr(refused.value, "wait", None) or 0) <= 30
    store.persist(name)
    with pytest.raises(Throttled):
        count("login", "ana")
    assert 0 < store.ttl(name) <= 60
    store.delete(name)
    count("login", "ana")


def test_redis_is_told_neither_address_nor_email(limits: dict[str, Limit]) -> None:
    count("login", "203.0.113.9")
    count("login_account", "ana@example.com")
    names: Any = redis.Redis.from_url(real_settings.REDIS_URL).keys(f"{real_settings.THROTTLE_PREFIX}:*")
    assert len(names) == 2
    assert all(re.fullmatch(rb"throttle-\w+:(login|login_account):[0-9a-f]{32}", name) for name in names)


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (None, "127.0.0.1"),
        ("198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]:4321", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_customer_with_ipv6_has_a_whole_network(forwarded: str | None, expected: str) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert address(Request(APIRequestFactory().get("/", headers=headers))) == expected


@pytest.mark.parametrize("written", ["x", "1", "1/0", "0/1", "-1/1", "1/1/1", "1.5/1", "99999999/1"])
def test_a_limit_is_written_as_times_and_seconds(written: str) -> None:
    with pytest.raises(ValueError, match="is not a number of times"):
        Limit.parse(written)
    assert with_changes({"a": Limit(1, 2), "b": Limit(3, 4)}, "b=5/6") == {"a": Limit(1, 2), "b": Limit(5, 6)}


def post(client: Client, path: str, body: dict[str, Any], **extra: Any) -> Any:
    return client.post(f"/api/v1/auth/{path}", body, format="json", **extra)


def test_too_many_guesses_of_one_password_are_refused_from_everywhere(
    as_nobody: Client, ana: Credentials, ben: Credentials, limits: dict[str, Limit]
) -> None:
    limits["login_everywhere"] = Limit(3, 900)
    for number in range(3):
        assert post(as_nobody, "login", GUESS, REMOTE_ADDR=f"198.51.100.{number}").status_code == 401
    refused = post(as_nobody, "login", LOGIN | {"email": "ANA@example.com"})
    assert (refused.status_code, refused.json()["type"]) == (429, "Throttled")
    assert 0 < int(refused.headers["Retry-After"]) <= 900
    assert post(as_nobody, "login", LOGIN | {"email": "ben@example.com"}).status_code == 200


def test_nobody_is_locked_out_from_one_place(
    as_nobody: Client, ana: Credentials, limits: dict[str, Limit]
) -> None:
    limits["login_account"] = Limit(2, 900)
    assert [post(as_nobody, "login", GUESS).status_code for _ in range(4)] == [401, 401, 429, 429]
    assert post(as_nobody, "login", LOGIN, REMOTE_ADDR="198.51.100.1").status_code == 200


def test_one_account_has_one_count_however_its_email_is_written(
    as_nobody: Client, limits: dict[str, Limit]
) -> None:
    person("Mimi")
    limits["login_everywhere"] = Limit(2, 900)
    for email in ("mimi@example.com", "m\u0130mi@example.com"):
        assert post(as_nobody, "login", GUESS | {"email": email}).status_code == 401
    assert post(as_nobody, "login", LOGIN | {"email": "mim\u0130@example.com"}).status_code == 429


def test_one_address_guesses_at_many_accounts_so_often_and_uses_up_nobodys_guesses(
    as_nobody: Client, ana: Credentials, limits: dict[str, Limit]
) -> None:
    limits["login"], limits["login_account"] = Limit(3, 900), Limit(5, 900)
    for number in range(9):
        email = "ana@example.com" if number > 3 else f"nobody-{number}@example.com"
        status = post(as_nobody, "login", GUESS | {"email": email}).status_code
        assert status == (401 if number < 3 else 429)
    assert post(as_nobody, "login", LOGIN, REMOTE_ADDR="198.51.100.1").status_code == 200


def test_a_success_gives_no_guess_back(as_nobody: Client, ana: Credentials, limits: dict[str, Limit]) -> None:
    limits["login_account"] = Limit(2, 900)
    assert [post(as_nobody, "login", LOGIN).status_code for _ in range(3)] == [200, 200, 429]


def test_guesses_at_changing_a_password_count_like_those_at_signing_in(
    as_ana: Client, limits: dict[str, Limit]
) -> None:
    limits["login_account"] = Limit(1, 900)
    body = {"password": "wrong", "new_password": "another horse battery"}
    assert [post(as_ana, "password/change", body).status_code for _ in range(2)] == [400, 429]
    assert post(Client(), "login", LOGIN).status_code == 429


@pytest.mark.parametrize(
    ("path", "scope", "body"),
    [
        ("signup", "signup", {}),
        ("refresh", "refresh", {}),
        ("social", "social", {}),
        ("password/forgot", "forgot", {}),
        ("password/forgot", "mail", {"email": "nobody@example.com"}),
    ],
)
def test_each_way_in_has_a_limit(
    as_nobody: Client, limits: dict[str, Limit], path: str, scope: str, body: dict[str, str]
) -> None:
    limits[scope] = Limit(1, 60)
    statuses = [post(as_nobody, path, body).status_code for _ in range(2)]
    assert statuses == [202 if body else 400, 429]


def test_mails_to_one_person_have_a_limit(as_ana: Client, limits: dict[str, Limit]) -> None:
    limits["mail"] = Limit(1, 60)
    assert [as_ana.post("/api/v1/auth/email/send-verification").status_code for _ in range(2)] == [202, 429]


def test_without_redis_nobody_signs_in_with_a_password(
    as_nobody: Client, ana: Credentials, no_redis: None
) -> None:
    refused = post(as_nobody, "login", LOGIN)
    assert (refused.status_code, refused.json()["type"]) == (503, "LoginUnavailable")
    assert int(refused.headers["Retry-After"]) > 0
    with pytest.raises(CountersAway):
        count("login", "ana")


def test_without_redis_everything_else_goes_on(as_nobody: Client, ana: Credentials, no_redis: None) -> None:
    assert post(as_nobody, "refresh", {"refresh": ana.refresh}).status_code == 200
    assert post(as_nobody, "social", {}).status_code == 400
    new = {"email": "dora@example.com", "password": PASSWORD}
    assert post(as_nobody, "signup", new).status_code == 201
