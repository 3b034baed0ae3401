"""The production transport against the stand-in as a real process: whatever happens, one answer for each request."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import google.auth._helpers
import google.oauth2.credentials
import pytest
from firebase_admin import credentials
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from structlog.testing import capture_logs

from medtrack.development.fcm.faults import KINDS
from medtrack.development.fcm.identity import CERTIFICATE, ensure_certificate
from medtrack.development.fcm.process import FcmStandin
from notifications.tests.http2_server import Http2Server, accept
from notifications.transports import fcm as fcm_module
from notifications.transports.fcm import FcmTransport
from notifications.transports.results import FcmResult, FcmResultKind

ACCEPTED, RETRY, REVOKE, UNSENT = (
    FcmResultKind.ACCEPTED,
    FcmResultKind.RETRY,
    FcmResultKind.REVOKE,
    FcmResultKind.UNSENT,
)
TIMEOUT = 2.0
PATIENCE = 30.0

Answers = list[tuple[Any, FcmResult]]


def transport_to(
    standin: FcmStandin,
    credential: credentials.Base | None = None,
    ca_file: Path | None = None,
    timeout: float = TIMEOUT,
) -> FcmTransport:
    return FcmTransport(
        credential or credentials.Certificate(standin.service_account),
        project_id="medtrack-local",
        endpoint=standin.url,
        ca_file=str(ca_file or standin.certificate_file),
        timeout=timeout,
    )


@pytest.fixture
def transport(fcm: FcmStandin) -> Iterator[FcmTransport]:
    transport = transport_to(fcm)
    yield transport
    transport.close()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[FcmStandin]:
    """A stand-in that a test may kill."""
    standin = FcmStandin.start(tmp_path / "mortal")
    yield standin
    standin.kill()


def body(key: object, device: str = "phone") -> bytes:
    return json.dumps({"message": {"token": device, "data": {"key": str(key)}}}).encode()


def submit(transport: FcmTransport, keys: Iterable[object], device: str = "phone") -> None:
    for key in keys:
        transport.submit(key, body(key, device), latest=time.monotonic() + PATIENCE)


def answers(transport: FcmTransport) -> Answers:
    """All that are missing."""
    received: Answers = []
    end = time.monotonic() + PATIENCE
    while transport.pending:
        assert time.monotonic() < end, f"{transport.pending} requests have no answer"
        received += transport.turn(0.5)
    return received


def outcomes(transport: FcmTransport, keys: Iterable[object], device: str = "phone") -> dict[Any, FcmResult]:
    """By key, each of which was answered exactly once."""
    expected = list(keys)
    submit(transport, expected, device)
    received = answers(transport)
    assert Counter(key for key, _ in received) == Counter(expected)
    return dict(received)


def kinds_of(outcomes: dict[Any, FcmResult]) -> Counter[tuple[FcmResultKind, str]]:
    return Counter((outcome.kind, outcome.error_code) for outcome in outcomes.values())


def recorded(standin: FcmStandin, status: int = 200) -> Counter[str]:
    """How often each key is in FCM's ledger."""
    return Counter(line["message"]["data"]["key"] for line in standin.ledger() if line["status"] == status)


def wait_until(condition: Callable[[], bool], transport: FcmTransport | None = None) -> Answers:
    received: Answers = []
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        received += transport.turn(0.01) if transport else []
    return received


@pytest.mark.parametrize("seed", [1, 2])
def test_of_thousands_in_any_order_each_gets_its_own_answer_once(fcm: FcmStandin, seed: int) -> None:
    transport = transport_to(fcm, timeout=PATIENCE)
    chance = Random(seed)
    kinds = {"phone": ACCEPTED, "unregistered-phone": REVOKE, "malformed-phone": REVOKE}
    devices = {(seed, n): chance.choice(list(kinds)) for n in range(3000)}
    received: Answers = []
    for key in chance.sample(list(devices), len(devices)):
        transport.submit(key, body(key, devices[key]), latest=time.monotonic() + PATIENCE)
        if chance.random() < 0.01:
            received += transport.turn(chance.choice([0, 0, 0.002]))
    received += answers(transport)
    assert Counter(key for key, _ in received) == Counter(devices.keys())
    assert {key: outcome.kind for key, outcome in received} == {k: kinds[d] for k, d in devices.items()}
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


def test_a_server_that_dies_in_mid_flight_and_comes_back(mortal: FcmStandin) -> None:
    transport = transport_to(mortal)
    outcomes(transport, ["warm"])
    mortal.set_latency(1.0)
    submit(transport, range(300))
    wait_until(lambda: len(mortal.ledger()) == 301, transport)
    mortal.kill()
    with capture_logs() as logs:
        received = answers(transport)
    assert Counter((key, outcome.error_code) for key, outcome in received) == {
        (n, "NO_ANSWER"): 1 for n in range(300)
    }
    assert sum(line["requests"] for line in logs) == 300
    assert len(logs) < 30
    assert kinds_of(outcomes(transport, range(50))) == {(UNSENT, "NO_CONNECTION"): 50}
    with FcmStandin.start(mortal.directory, port=mortal.port) as again:
        assert kinds_of(outcomes(transport, range(300, 600))) == {(ACCEPTED, ""): 300}
        assert max(recorded(again).values()) == 1
    transport.close()


def test_a_server_that_says_goodbye_loses_nothing(mortal: FcmStandin) -> None:
    transport = transport_to(mortal)
    mortal.set_latency(0.5)
    submit(transport, range(150))
    received = wait_until(lambda: len(mortal.ledger()) == 150, transport)
    mortal.process.terminate()
    received += answers(transport)
    assert kinds_of(dict(received)) == {(ACCEPTED, ""): 150}
    mortal.process.wait()
    with FcmStandin.start(mortal.directory, port=mortal.port):
        assert kinds_of(outcomes(transport, range(150, 300))) == {(ACCEPTED, ""): 150}
    transport.close()


def test_neither_message_nor_token_goes_to_a_server_with_another_certificate(
    fcm: FcmStandin, tmp_path: Path
) -> None:
    ensure_certificate(tmp_path)
    transport = transport_to(fcm, Static("secret"), tmp_path / CERTIFICATE)
    with capture_logs() as logs:
        assert kinds_of(outcomes(transport, range(10))) == {(UNSENT, "NO_CONNECTION"): 10}
    assert fcm.ledger() == []
    assert "secret" not in str(logs)


class Static(credentials.Base):  # type: ignore[misc]
    """An access token that is what it is."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_credential(self) -> google.oauth2.credentials.Credentials:
        return google.oauth2.credentials.Credentials(self._token)


def transport_to_server(server: Http2Server) -> FcmTransport:
    return FcmTransport(
        Static("token"), project_id="p", endpoint=server.url, ca_file=str(server.ca_file), timeout=TIMEOUT
    )


def test_bodies_larger_than_every_window_arrive_whole(tmp_path: Path) -> None:
    received = []

    def script(connection: H2Connection, stream: int, content: bytes) -> bool:
        received.append(content)
        accept(connection, stream)
        return True

    sent = [body(key, "x" * size) for key, size in enumerate([0, 4_000, 16_384, 65_535, 300_000] * 10)]
    with Http2Server(tmp_path, script) as server:
        transport = transport_to_server(server)
        for key, content in enumerate(sent):
            transport.submit(key, content, latest=time.monotonic() + PATIENCE)
        assert kinds_of(dict(answers(transport))) == {(ACCEPTED, ""): 50}
        assert sorted(received) == sorted(sent)
        transport.close()


@pytest.mark.parametrize("is_goodbye", [True, False])
def test_a_stream_refused_for_ever_is_told_and_the_next_request_gets_through(
    tmp_path: Path, is_goodbye: bool
) -> None:
    processed = Counter[bytes]()

    def script(connection: H2Connection, stream: int, content: bytes) -> bool:
        if b"refused" in content:
            if is_goodbye:
                connection.close_connection(last_stream_id=max(0, stream - 2))
            else:
                connection.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            return True
        processed[content] += 1
        accept(connection, stream)
        return True

    with Http2Server(tmp_path, script) as server:
        transport = transport_to_server(server)
        assert kinds_of(outcomes(transport, ["warm"])) == {(ACCEPTED, ""): 1}
        assert kinds_of(outcomes(transport, ["refused"])) == {(UNSENT, "NO_CONNECTION"): 1}
        assert kinds_of(outcomes(transport, range(50))) == {(ACCEPTED, ""): 50}
        assert set(processed.values()) == {1}
        transport.close()


@pytest.mark.parametrize("is_goodbye", [True, False])
def test_what_the_server_says_it_never_processed_is_sent_again_at_once(
    tmp_path: Path, is_goodbye: bool
) -> None:
    processed = Counter[bytes]()
    refused = set()

    def script(connection: H2Connection, stream: int, content: bytes) -> bool:
        if b"refused" in content and content not in refused:
            refused.add(content)
            if is_goodbye:
                connection.close_connection(last_stream_id=stream - 2)
            else:
                connection.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            return True
        processed[content] += 1
        accept(connection, stream)
        return True

    with Http2Server(tmp_path, script) as server:
        transport = transport_to_server(server)
        outcomes(transport, ["warm"])
        assert kinds_of(outcomes(transport, ["refused"])) == {(ACCEPTED, ""): 1}
        assert refused
        assert set(processed.values()) == {1}
        transport.close()


def test_a_server_that_falls_silent_is_left(tmp_path: Path) -> None:
    connections = []

    def script(connection: H2Connection, stream: int, content: bytes) -> bool:
        if connection not in connections:
            connections.append(connection)
        if len(connections) > 1:
            accept(connection, stream)
        return True

    with Http2Server(tmp_path, script) as server:
        transport = transport_to_server(server)
        assert kinds_of(outcomes(transport, range(3))) == {(RETRY, "NO_ANSWER"): 3}
        assert kinds_of(outcomes(transport, range(3))) == {(ACCEPTED, ""): 3}
        transport.close()


@pytest.mark.parametrize(("most", "table", "window"), [(1, 0, 1), (0, 4096, 65_535), (7, 200, 100)])
def test_what_the_server_allows_is_kept_to(tmp_path: Path, most: int, table: int, window: int) -> None:
    received = Counter[bytes]()

    def begin(connection: H2Connection) -> None:
        connection.update_settings(
            {
                SettingCodes.MAX_CONCURRENT_STREAMS: most,
                SettingCodes.HEADER_TABLE_SIZE: table,
                SettingCodes.INITIAL_WINDOW_SIZE: window,
            }
        )

    def script(connection: H2Connection, stream: int, content: bytes) -> bool:
        received[content] += 1
        accept(connection, stream)
        return True

    with Http2Server(tmp_path, script, begin) as server:
        transport = transport_to_server(server)
        for key in range(30):
            transport.submit(key, body(key), latest=time.monotonic() + (PATIENCE if most else 1.0))
        expected = {(ACCEPTED, ""): 30} if most else {(UNSENT, "TOO_LATE"): 30}
        assert kinds_of(dict(answers(transport))) == expected
        assert received == ({body(key): 1 for key in range(30)} if most else {})
        transport.close()


def test_a_connection_that_the_server_closed_meanwhile_costs_no_answer(mortal: FcmStandin) -> None:
    transport = transport_to(mortal)
    outcomes(transport, ["before"])
    mortal.kill()
    with FcmStandin.start(mortal.directory, port=mortal.port):
        assert kinds_of(outcomes(transport, range(50))) == {(ACCEPTED, ""): 50}
    transport.close()


def test_a_port_where_nobody_speaks_http2_is_no_connection(tmp_path: Path) -> None:
    with Http2Server(tmp_path, lambda *_: True, protocols=["http/1.1"]) as server:
        transport = transport_to_server(server)
        assert kinds_of(outcomes(transport, range(3))) == {(UNSENT, "NO_CONNECTION"): 3}
        transport.close()


def test_a_connection_that_is_closed_every_few_requests_costs_no_answer(tmp_path: Path) -> None:
    processed = Counter[bytes]()
    chance = Random(3)

    def script(connection: H2Connection, stream: int, content: bytes) -> bool:
        processed[content] += 1
        if chance.random() < 0.03:
            return False
        accept(connection, stream)
        return True

    with Http2Server(tmp_path, script) as server:
        transport = transport_to_server(server)
        received = outcomes(transport, range(1000))
        assert set(kinds_of(received)) <= {(ACCEPTED, ""), (RETRY, "NO_ANSWER"), (UNSENT, "NO_CONNECTION")}
        for key, outcome in received.items():
            assert processed[body(key)] <= 1
            assert processed[body(key)] == 1 or outcome.kind is not ACCEPTED
            assert processed[body(key)] == 0 or outcome.kind is not UNSENT
        transport.close()


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("Sat, 01 Jan 2124 00:00:00 GMT", 3600, 10**7), ("Wed, 01 Jan 2020 00:00:00 GMT", 0, 0), ("soon", 0, 0)],
)
def test_retry_after_as_a_date_is_told_in_seconds(tmp_path: Path, value: str, least: int, most: int) -> None:
    def script(connection: H2Connection, stream: int, content: bytes) -> bool:
        accept(connection, stream, ("retry-after", value), status=503)
        return True

    with Http2Server(tmp_path, script) as server:
        transport = transport_to_server(server)
        wait = outcomes(transport, ["asked"])["asked"].retry_after
        assert least <= (wait.total_seconds() if wait else 0) <= most
        transport.close()
