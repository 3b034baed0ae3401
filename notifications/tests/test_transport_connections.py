"""The transport against servers that end, pause, limit or break their connections."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import google.auth._helpers
import google.oauth2.credentials
import pytest
from firebase_admin import credentials
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from structlog.testing import capture_logs

from medtrack.development.fcm.identity import CERTIFICATE, ensure_certificate
from medtrack.development.fcm.process import FcmStandin
from notifications.tests.http2_server import Http2Server, accept
from notifications.tests.sending import (
    ACCEPTED,
    PATIENCE,
    RETRY,
    TIMEOUT,
    UNSENT,
    answers,
    body,
    kinds_of,
    outcomes,
    recorded,
    submit,
    transport_to,
    wait_until,
)
from notifications.transports.fcm import FcmTransport


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[FcmStandin]:
    """A stand-in that a test may kill."""
    standin = FcmStandin.start(tmp_path / "mortal")
    yield standin
    standin.kill()


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
