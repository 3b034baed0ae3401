"""Clients that begin a request and never end it, against the web process as deployed."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from h2.connection import H2Connection
from h2.exceptions import ProtocolError

from medtrack.tests.house import House, eventually

# The kernel chooses which of several processes a connection reaches.
CONNECTIONS = 20
UNFINISHED = [
    *((":method", "POST"), (":path", "/api/v1/auth/login"), (":scheme", "http"), (":authority", "localhost")),
    *(("content-type", "application/json"), ("content-length", "100")),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("house")) as house:
        house.open()
        yield house


def begin_two_http2_requests_and_leave(port: int) -> None:
    """In clear text, on one connection; both announce a body of which nothing comes."""
    client = H2Connection()
    client.initiate_connection()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, suppress(OSError):
        connection.sendall(client.data_to_send())
        for _ in range(2):
            client.send_headers(client.get_next_available_stream_id(), UNFINISHED)
        connection.sendall(client.data_to_send())
        with suppress(ProtocolError):
            client.receive_data(connection.recv(65_536))


def test_unfinished_requests_over_http2_stop_no_process(house: House) -> None:
    for _ in range(CONNECTIONS):
        begin_two_http2_requests_and_leave(house.port)
    for _ in range(CONNECTIONS):
        assert eventually(lambda: house.answers("livez"), within=20)
