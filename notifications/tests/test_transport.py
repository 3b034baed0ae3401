"""The production transport against the stand-in as a real process: whatever happens, one answer for each request."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import google.auth._helpers
import google.oauth2.credentials
import pytest
from firebase_admin import credentials
from structlog.testing import capture_logs

from medtrack.development.fcm.faults import KINDS
from medtrack.development.fcm.process import FcmStandin
from notifications.tests.sending import (
    ACCEPTED,
    PATIENCE,
    RETRY,
    REVOKE,
    TIMEOUT,
    UNSENT,
    Answers,
    answers,
    body,
    kinds_of,
    outcomes,
    recorded,
    submit,
    transport_to,
    wait_until,
)
from notifications.transports import fcm as fcm_module
from notifications.transports.fcm import FcmTransport
from notifications.transports.results import FcmResultKind


@pytest.fixture
def transport(fcm: FcmStandin) -> Iterator[FcmTransport]:
    transport = transport_to(fcm)
    yield transport
    transport.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_of_thousands_in_any_order_each_gets_its_own_answer_once(fcm: FcmStandin, seed: int) -> None:
    transport = transport_to(fcm, timeout=PATIENCE)
    chance = Random(seed)
    fates = {"phone": ACCEPTED, "unregistered-phone": REVOKE, "malformed-phone": REVOKE}
    devices = {(seed, n): chance.choice(list(fates)) for n in range(3000)}
    received: Answers = []
    for key in chance.sample(list(devices), len(devices)):
        transport.submit(key, body(key, devices[key]), latest=time.monotonic() + PATIENCE)
        if chance.random() < 0.01:
            received += transport.turn(chance.choice([0, 0, 0.002]))
    received += answers(transport)
    assert Counter(key for key, _ in received) == Counter(devices.keys())
    assert {key: outcome.kind for key, outcome in received} == {k: fates[d] for k, d in devices.items()}
    names = {line["message"]["data"]["key"]: line.get("name", "") for line in fcm.ledger()}
    assert {str(key): outcome.message_id for key, outcome in received} == names
    assert transport.turn(0) == []
    transport.close()


def test_more_than_there_are_streams_wait_their_turn(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcm_module, "STREAMS", 3)
    submit(transport, range(50))
    assert transport.pending == 50
    assert len(dict(answers(transport))) == 50
    assert transport.pending == 0


def test_a_turn_waits_no_longer_than_it_may(fcm: FcmStandin, transport: FcmTransport) -> None:
    outcomes(transport, ["first"])
    fcm.set_latency(0.5)
    submit(transport, ["second"])
    started = time.monotonic()
    assert transport.turn(0.1) == []
    assert time.monotonic() - started < 0.3
    assert [key for key, _ in transport.turn(5.0)] == ["second"]
    assert time.monotonic() - started < 1.5


def test_outcomes_belong_to_the_keys_of_their_messages(fcm: FcmStandin, transport: FcmTransport) -> None:
    devices = ["phone", "unregistered-a", "phone", "sender-mismatch-b"] * 25
    for key, device in enumerate(devices):
        submit(transport, [key], device)
    received = dict(answers(transport))
    codes = [received[key].error_code for key in range(len(devices))]
    assert codes == ["", "UNREGISTERED", "", "SENDER_ID_MISMATCH"] * 25


FAULTS = {
    "429": (RETRY, "QUOTA_EXCEEDED", 1),
    "429-project": (RETRY, "HTTP_429", 1),
    "500": (RETRY, "INTERNAL", 1),
    "503": (RETRY, "UNAVAILABLE", 1),
    "404": (REVOKE, "UNREGISTERED", 1),
    "401": (RETRY, "THIRD_PARTY_AUTH_ERROR", 1),
    "close": (RETRY, "NO_ANSWER", 1),
    "hang": (RETRY, "NO_ANSWER", 1),
    "accept-then-503": (RETRY, "UNAVAILABLE", 1),
    "accept-then-close": (RETRY, "NO_ANSWER", 1),
    "accept-then-hang": (RETRY, "NO_ANSWER", 1),
}


def test_every_fault_of_the_stand_in_is_tried_below() -> None:
    assert FAULTS.keys() == KINDS.keys()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_and_nothing_is_sent_twice_behind_our_back(
    fcm: FcmStandin, transport: FcmTransport, fault: str
) -> None:
    outcomes(transport, ["warm"])  # on a connection that was used before, a client is tempted to try again
    fcm.arm(fault, token="struck")
    submit(transport, ["struck"], "struck")
    submit(transport, range(20))
    received = dict(answers(transport))
    verdict, code, times = FAULTS[fault]
    assert (received["struck"].kind, received["struck"].error_code) == (verdict, code)
    lines = Counter(line["message"]["data"]["key"] for line in fcm.ledger())
    assert lines["struck"] == times
    assert max(lines.values()) == 1
    for key in range(20):
        assert received[key].kind is ACCEPTED or (received[key].error_code, "close" in fault) == (
            "NO_ANSWER",
            True,
        )
    assert kinds_of(outcomes(transport, ["after"])) == {(ACCEPTED, ""): 1}


def test_what_fcm_asks_to_wait_is_told(fcm: FcmStandin, transport: FcmTransport) -> None:
    fcm.arm("503", retry_after=7)
    assert outcomes(transport, ["asked"])["asked"].retry_after == timedelta(seconds=7)
    fcm.arm("503")
    assert outcomes(transport, ["not asked"])["not asked"].retry_after is None


def test_one_token_is_fetched_for_all_requests_that_fcm_refused_with_the_old_one(
    fcm: FcmStandin, transport: FcmTransport
) -> None:
    outcomes(transport, ["before"])
    fetches = count_fetches(transport)
    transport._token._credential.token = "stale"
    assert kinds_of(outcomes(transport, range(500))) == {(ACCEPTED, ""): 500}
    assert len(fetches) == 1
    assert recorded(fcm) == Counter({str(n): 1 for n in range(500)} | {"before": 1})
    assert max(recorded(fcm, 401).values()) == 1


@pytest.mark.parametrize("then", ["wrong", "stale"])
def test_requests_are_not_sent_for_ever_with_tokens_that_fcm_refuses(
    fcm: FcmStandin, transport: FcmTransport, then: str
) -> None:
    outcomes(transport, ["before"])
    fetches = count_fetches(transport, then=then)
    transport._token._credential.token = "stale"
    assert kinds_of(outcomes(transport, range(100))) == {(FcmResultKind.REFUSED, "HTTP_401"): 100}
    assert kinds_of(outcomes(transport, range(100, 200))) == {(FcmResultKind.REFUSED, "HTTP_401"): 100}
    assert len(fetches) == 1
    assert recorded(fcm, 401) == {str(n): 2 if n < 100 else 1 for n in range(200)}


def count_fetches(transport: FcmTransport, then: str = "") -> list[float]:
    fetches: list[float] = []
    credential = transport._token._credential
    fetch = credential.refresh

    def counted(request: object) -> None:
        fetches.append(time.monotonic())
        fetch(request)
        credential.token = then or credential.token

    credential.refresh = counted
    return fetches


def test_without_an_access_token_nothing_leaves(fcm: FcmStandin) -> None:
    account = fcm.service_account | {"token_uri": "https://127.0.0.1:1/token"}
    transport = transport_to(fcm, credentials.Certificate(account))
    with capture_logs() as logs:
        assert kinds_of(outcomes(transport, range(100))) == {(UNSENT, "NO_ACCESS_TOKEN"): 100}
    assert fcm.ledger() == []
    assert [line["event"] for line in logs] == ["no access token for FCM"]


def test_a_slow_token_endpoint_holds_up_neither_answers_nor_requests_while_the_token_lasts(
    fcm: FcmStandin, transport: FcmTransport
) -> None:
    outcomes(transport, ["before"])
    credential = transport._token._credential
    fetch = credential.refresh

    def slow(request: object) -> None:
        time.sleep(TIMEOUT + 1)
        fetch(request)

    credential.refresh = slow
    credential.expiry = google.auth._helpers.utcnow() + timedelta(minutes=1)
    token = credential.token
    fcm.set_latency(0.3)
    started = time.monotonic()
    assert kinds_of(outcomes(transport, range(50))) == {(ACCEPTED, ""): 50}
    assert kinds_of(outcomes(transport, range(50, 100))) == {(ACCEPTED, ""): 50}
    assert time.monotonic() - started < TIMEOUT
    wait_until(lambda: credential.token != token)
    assert kinds_of(outcomes(transport, ["after"])) == {(ACCEPTED, ""): 1}


def test_answers_come_in_while_requests_wait_for_a_token(fcm: FcmStandin, transport: FcmTransport) -> None:
    outcomes(transport, ["before"])
    credential = transport._token._credential
    credential.refresh = lambda request: time.sleep(1)
    fcm.set_latency(0.2)
    submit(transport, ["flying"])
    transport.turn(0)
    credential.token = None
    submit(transport, ["waiting"])
    transport.submit("impatient", body("impatient"), latest=time.monotonic() + 0.1)
    received = wait_until(lambda: transport.pending == 1, transport)
    assert {key: outcome.error_code for key, outcome in received} == {"flying": "", "impatient": "TOO_LATE"}


def test_nothing_begins_after_its_latest_moment(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcm_module, "STREAMS", 1)
    outcomes(transport, ["warm"])
    fcm.set_latency(0.3)
    now = time.monotonic()
    transport.submit("late", body("late"), latest=now)
    transport.submit("in time", body("in time"), latest=now + PATIENCE)
    transport.submit("too long in the queue", body("too long in the queue"), latest=now + 0.2)
    received = {key: (outcome.kind, outcome.error_code) for key, outcome in answers(transport)}
    assert received == {
        "late": (UNSENT, "TOO_LATE"),
        "in time": (ACCEPTED, ""),
        "too long in the queue": (UNSENT, "TOO_LATE"),
    }
    assert recorded(fcm).keys() == {"warm", "in time"}


def test_what_was_in_flight_when_it_was_closed_does_not_haunt_it(
    fcm: FcmStandin, transport: FcmTransport
) -> None:
    fcm.set_latency(0.5)
    submit(transport, range(150))
    wait_until(lambda: len(fcm.ledger()) == 150, transport)
    submit(transport, ["waiting"])
    transport.close()
    assert (transport.pending, transport.turn(1.0)) == (0, [])
    fcm.set_latency(0)
    assert kinds_of(outcomes(transport, range(100, 300))) == {(ACCEPTED, ""): 200}
    transport.close()
    transport.close()


def test_closing_after_an_exception_forgets_the_rest(
    fcm: FcmStandin, transport: FcmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(fcm_module, "_outcome", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            outcomes(transport, range(10))
    transport.close()
    assert transport.pending == 0
    (outcome,) = outcomes(transport, ["phone"]).values()
    assert outcome.kind is ACCEPTED
