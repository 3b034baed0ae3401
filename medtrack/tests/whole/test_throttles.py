"""Limits as the API keeps them: exact under concurrency, telling Redis nothing, and what happens without Redis."""

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings as real_settings
from django.utils import timezone
from pytest_django import Settings
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from medtrack.development.services.ports import free_port
from medtrack.http.limits import Limit, with_changes
from medtrack.http.throttles import CountersUnavailable, address, book_if_possible, count
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD, person, session_of
from users.actions import Credentials, log_out
from users.tests.issuer import LocalIssuer
from users.tokens import RefreshToken

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
    limits["login"] = Limit(20, 60, pause=60)
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
    limits["login"] = limits["social"] = Limit(1, 60, pause=60)
    for scope, key in (("login", "ana"), ("login", "ben"), ("social", "ana")):
        count(scope, key)
        with pytest.raises(Throttled):
            count(scope, key)


def counter() -> tuple["redis.Redis", Any]:
    """Redis, and the name of the one counter in it."""
    store = redis.Redis.from_url(real_settings.REDIS_URL)
    (name,) = store.keys(f"{real_settings.THROTTLE_PREFIX}:*")
    return store, name


def end_pause() -> None:
    """As if the pause of the one counter had just ended."""
    store, name = counter()
    store.hset(name, "paused_until", "1")


def refused_for(scope: str, key: str) -> int:
    """The seconds of a pause."""
    with pytest.raises(Throttled) as refused:
        count(scope, key)
    return getattr(refused.value, "wait", None) or 0


def test_beyond_the_limit_each_pause_is_twice_the_one_before(limits: dict[str, Limit]) -> None:
    limits["login"] = Limit(2, 900, pause=60)
    count("login", "ana")
    for pause in (60, 120, 240):
        count("login", "ana")
        for _ in range(3):
            assert pause - 30 < refused_for("login", "ana") <= pause
        end_pause()


def test_no_pause_is_longer_than_the_rest_of_the_window(limits: dict[str, Limit]) -> None:
    limits["login"] = Limit(1, 900, pause=60)
    count("login", "ana")
    store, name = counter()
    store.pexpire(name, 100_000)
    end_pause()
    count("login", "ana")
    assert 70 < refused_for("login", "ana") <= 100


def test_a_window_ends_and_not_later_for_being_asked(limits: dict[str, Limit]) -> None:
    limits["login"] = Limit(1, 900, pause=60)
    count("login", "ana")
    store, name = counter()
    for _ in range(3):
        store.pexpire(name, 300_000)
        refused_for("login", "ana")
        assert 0 < store.ttl(name) <= 300
        end_pause()
        count("login", "ana")
        assert 0 < store.ttl(name) <= 300
    store.delete(name)
    count("login", "ana")


def test_after_a_pause_exactly_one_of_50_at_once_comes_through(limits: dict[str, Limit]) -> None:
    limits["login"] = Limit(1, 900, pause=60)
    count("login", "ana")
    end_pause()
    start = Barrier(50)

    def ask(_number: int) -> bool:
        start.wait()
        try:
            count("login", "ana")
        except Throttled:
            return False
        return True

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(ask, range(50))) == 1


def test_what_may_be_booked_is_booked_once_for_the_end_of_the_pause(limits: dict[str, Limit]) -> None:
    limits["mail"] = Limit(2, 3600, pause=300)
    assert [book_if_possible("mail", "ana", account="a") for _ in range(2)] == [0, 0]
    first = book_if_possible("mail", "ana", account="a")
    assert first
    assert 270 < first <= 300
    assert [book_if_possible("mail", "ana", account="a") for _ in range(3)] == [None] * 3
    # The booked one is counted, so that the pause after it is twice as long.
    store, name = counter()
    booked_for = float(store.hget(name, "booked_for"))  # type: ignore[arg-type]
    assert float(store.hget(name, "paused_until")) - booked_for == 600_000  # type: ignore[arg-type]
    store.hset(name, "booked_for", "1")
    second = book_if_possible("mail", "ana", account="a")
    assert second
    assert 870 < second <= 900
    assert book_if_possible("mail", "ben", account="b") == 0
    # An address that has become another account's: the mail that is booked is not for them.
    assert book_if_possible("mail", "ana", account="c") is not None


def test_an_hour_of_asking_books_few_mails_and_the_last_within_it(limits: dict[str, Limit]) -> None:
    assert limits["mail"] == Limit(3, 3600, pause=300)
    waits = []
    for _ in range(20):
        waits.append(book_if_possible("mail", "ana", account="a"))
        counter()[0].hset(counter()[1], "booked_for", "1")
    sent = [wait for wait in waits[:6] if wait is not None]
    assert [round(wait / 60) for wait in sent] == [0, 0, 0, 5, 15, 35]
    assert all(wait is not None and round(wait / 60) == 60 for wait in waits[6:])


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
    assert with_changes({"a": Limit(1, 2), "b": Limit(3, 4, pause=7)}, "b=5/6") == {
        "a": Limit(1, 2),
        "b": Limit(5, 6, pause=7),
    }


def post(client: Client, path: str, body: dict[str, Any], **extra: Any) -> Any:
    return client.post(f"/api/v1/auth/{path}", body, format="json", **extra)


def test_too_many_guesses_of_one_password_are_refused_from_everywhere(
    as_nobody: Client, ana: Credentials, ben: Credentials, limits: dict[str, Limit]
) -> None:
    limits["login_everywhere"] = Limit(3, 900, pause=900)
    for number in range(3):
        assert post(as_nobody, "login", GUESS, REMOTE_ADDR=f"198.51.100.{number}").status_code == 401
    refused = post(as_nobody, "login", LOGIN | {"email": "ANA@example.com"})
    assert (refused.status_code, refused.json()["type"]) == (429, "Throttled")
    assert 0 < int(refused.headers["Retry-After"]) <= 900
    assert post(as_nobody, "login", LOGIN | {"email": "ben@example.com"}).status_code == 200


def test_nobody_is_locked_out_from_one_place(
    as_nobody: Client, ana: Credentials, limits: dict[str, Limit]
) -> None:
    limits["login_account"] = Limit(2, 900, pause=900)
    assert [post(as_nobody, "login", GUESS).status_code for _ in range(4)] == [401, 401, 429, 429]
    assert post(as_nobody, "login", LOGIN, REMOTE_ADDR="198.51.100.1").status_code == 200


def test_one_account_has_one_count_however_its_email_is_written(
    as_nobody: Client, limits: dict[str, Limit]
) -> None:
    person("Mimi")
    limits["login_everywhere"] = Limit(2, 900, pause=900)
    for email in ("mimi@example.com", "m\u0130mi@example.com"):
        assert post(as_nobody, "login", GUESS | {"email": email}).status_code == 401
    assert post(as_nobody, "login", LOGIN | {"email": "mim\u0130@example.com"}).status_code == 429


def test_one_address_guesses_at_many_accounts_so_often_and_uses_up_nobodys_guesses(
    as_nobody: Client, ana: Credentials, limits: dict[str, Limit]
) -> None:
    limits["login"], limits["login_account"] = Limit(3, 900, pause=900), Limit(5, 900, pause=900)
    for number in range(9):
        email = "ana@example.com" if number > 3 else f"nobody-{number}@example.com"
        status = post(as_nobody, "login", GUESS | {"email": email}).status_code
        assert status == (401 if number < 3 else 429)
    assert post(as_nobody, "login", LOGIN, REMOTE_ADDR="198.51.100.1").status_code == 200


def test_a_success_gives_no_guess_back(as_nobody: Client, ana: Credentials, limits: dict[str, Limit]) -> None:
    limits["login_account"] = Limit(2, 900, pause=900)
    assert [post(as_nobody, "login", LOGIN).status_code for _ in range(3)] == [200, 200, 429]


def test_guesses_at_the_own_password_are_counted_by_session_and_with_those_of_known_devices(
    as_ana: Client, limits: dict[str, Limit]
) -> None:
    limits["login_device"] = Limit(2, 900, pause=900)
    body = {"password": "wrong", "new_password": "another horse battery"}
    assert [post(as_ana, "password/change", body).status_code for _ in range(2)] == [400, 400]
    assert post(as_ana, "password/change", body).status_code == 429
    assert as_ana.delete("/api/v1/me", {"password": "wrong"}, format="json").status_code == 429
    phone = post(Client(), "login", LOGIN).json()["device_secret"]
    limits["login_known"] = Limit(3, 900, pause=900)
    assert post(Client(), "login", LOGIN | {"device_secret": phone}).status_code == 200
    assert post(Client(), "login", LOGIN | {"device_secret": phone}).status_code == 429


def under_attack(as_nobody: Client, limits: dict[str, Limit]) -> None:
    """Eleven addresses have used up every guess that strangers have."""
    limits["login_everywhere"] = Limit(11, 900, pause=900)
    limits["login"] = Limit(1, 900, pause=900)
    for number in range(11):
        assert post(as_nobody, "login", GUESS, REMOTE_ADDR=f"198.51.100.{number}").status_code == 401
    assert post(as_nobody, "login", LOGIN, REMOTE_ADDR="203.0.113.9").status_code == 429


def test_an_account_under_attack_can_be_signed_in_to_from_a_known_device(
    as_nobody: Client, ana: Credentials, limits: dict[str, Limit]
) -> None:
    session = Client(ana)
    under_attack(as_nobody, limits)
    # Also from an address of the attackers.
    known = LOGIN | {"device_secret": ana.device_secret}
    answer = post(as_nobody, "login", known, REMOTE_ADDR="198.51.100.1")
    assert answer.status_code == 200
    refreshed = post(as_nobody, "refresh", {"refresh": answer.json()["refresh"]}).json()
    assert refreshed["device_secret"] == answer.json()["device_secret"] != ana.device_secret
    log_out(session_id=session_of(ana.user).id, now=timezone.now())
    again = post(as_nobody, "login", LOGIN | {"device_secret": refreshed["device_secret"]})
    assert again.status_code == 200
    change = {"password": PASSWORD, "new_password": "another horse battery"}
    assert post(session, "password/change", change).status_code == 204


def test_a_stranger_cannot_claim_to_be_known(
    as_nobody: Client, ana: Credentials, ben: Credentials, limits: dict[str, Limit]
) -> None:
    under_attack(as_nobody, limits)
    anas, bens = ana.device_secret, ben.device_secret
    mixed = f"{anas.partition('.')[0]}.{bens.partition('.')[2]}"
    for secret in (
        "",
        "x",
        ":",
        "a.b:c",
        bens,
        mixed,
        anas[:-1],
        anas.upper(),
        ana.refresh,
        ana.access[:256],
    ):
        refused = post(as_nobody, "login", LOGIN | {"device_secret": secret}, REMOTE_ADDR="203.0.113.7")
        assert refused.status_code == 429, secret


def test_a_known_device_has_few_guesses_too(
    as_nobody: Client, ana: Credentials, limits: dict[str, Limit]
) -> None:
    limits["login_device"] = Limit(2, 900, pause=900)
    guess = GUESS | {"device_secret": ana.device_secret}
    statuses = [
        post(as_nobody, "login", guess, REMOTE_ADDR=f"198.51.100.{number}").status_code for number in range(3)
    ]
    assert statuses == [401, 401, 429]
    assert post(as_nobody, "login", LOGIN).status_code == 200


def test_an_address_with_thousands_of_failed_refreshes_still_refreshes(
    as_nobody: Client, ana: Credentials, ben: Credentials, limits: dict[str, Limit]
) -> None:
    limits["refresh_failures"] = Limit(3, 600, pause=600)
    junk = [str(RefreshToken.new(uuid4())), "junk"]
    statuses = [post(as_nobody, "refresh", {"refresh": junk[number % 2]}).status_code for number in range(6)]
    assert statuses == [401] * 3 + [429] * 3
    for person_behind_it in (ana, ben):
        assert post(as_nobody, "refresh", {"refresh": person_behind_it.refresh}).status_code == 200


def test_one_session_refreshes_only_so_often_and_loses_nothing(
    as_nobody: Client, ana: Credentials, ben: Credentials, limits: dict[str, Limit]
) -> None:
    limits["refresh"] = Limit(2, 60, pause=60)
    latest = ana.refresh
    for _ in range(2):
        latest = post(as_nobody, "refresh", {"refresh": latest}).json()["refresh"]
    assert post(as_nobody, "refresh", {"refresh": latest}).status_code == 429
    assert post(as_nobody, "refresh", {"refresh": ben.refresh}).status_code == 200
    limits["refresh"] = Limit(2, 60, pause=0)
    store = redis.Redis.from_url(real_settings.REDIS_URL)
    store.delete(*store.keys(f"{real_settings.THROTTLE_PREFIX}:*"))
    assert post(as_nobody, "refresh", {"refresh": latest}).status_code == 200


@pytest.mark.parametrize(
    ("path", "scope", "body"),
    [
        ("signup", "signup", {}),
        ("refresh", "refresh_failures", {"refresh": "stale"}),
        ("social", "social", {"provider": "google", "id_token": "stale"}),
        ("password/forgot", "forgot", {}),
    ],
)
def test_each_way_in_has_a_limit(
    as_nobody: Client, limits: dict[str, Limit], path: str, scope: str, body: dict[str, str]
) -> None:
    limits[scope] = Limit(1, 60, pause=60)
    statuses = [post(as_nobody, path, body).status_code for _ in range(2)]
    assert statuses == [401 if body else 400, 429]


def test_without_redis_nobody_signs_in_with_a_password(
    as_nobody: Client, ana: Credentials, no_redis: None
) -> None:
    refused = post(as_nobody, "login", LOGIN)
    assert (refused.status_code, refused.json()["type"]) == (503, "LoginUnavailable")
    assert int(refused.headers["Retry-After"]) > 0
    with pytest.raises(CountersUnavailable):
        count("login", "ana")


def test_without_redis_everything_else_goes_on(as_nobody: Client, ana: Credentials, no_redis: None) -> None:
    assert post(as_nobody, "refresh", {"refresh": ana.refresh}).status_code == 200
    assert post(as_nobody, "social", {}).status_code == 400
    new = {"email": "dora@example.com", "password": PASSWORD}
    assert post(as_nobody, "signup", new).status_code == 201


def test_an_address_with_many_failed_social_sign_ins_still_signs_in(
    as_nobody: Client, issuer: LocalIssuer, limits: dict[str, Limit]
) -> None:
    limits["social"] = Limit(2, 900, pause=900)
    junk = {"provider": "google", "id_token": "stale"}
    assert [post(as_nobody, "social", junk).status_code for _ in range(3)] == [401, 401, 429]
    anas, bens = ({"provider": "google", "id_token": issuer.token(sub=name)} for name in ("ana", "ben"))
    assert [post(as_nobody, "social", anas).status_code for _ in range(3)] == [200, 200, 429]
    assert post(as_nobody, "social", bens).status_code == 200
