"""Clients that start a request and never finish it: against web alone, and behind the proxy as deployed."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.client import HTTPSConnection

import pytest
from h2.connection import H2Connection
from h2.exceptions import ProtocolError

from medtrack.tests.support.nginx import Nginx
from medtrack.tests.support.running_product import RunningProduct, eventually
from medtrack.web.client import get_json

# The kernel chooses which of several processes a connection reaches.
CONNECTIONS = 20
# As in deploy/nginx/nginx.conf.template.
LIMIT_PER_ADDRESS = 200
BODY_TIMEOUT = 10
ANSWERED = (401, "NotAuthenticated")
UNFINISHED = [
    *((":method", "POST"), (":path", "/api/v1/auth/login"), (":scheme", "http"), (":authority", "localhost")),
    *(("content-type", "application/json"), ("content-length", "100")),
]
HEAD = "Host: localhost\r\nContent-Type: application/json\r\n"
IN_CHUNKS = f"{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n{{"
WITHOUT_BODY = {
    "a probe with chunks": f"GET /livez HTTP/1.1\r\n{IN_CHUNKS}",
    "a GET with chunks": f"GET /api/v1/me HTTP/1.1\r\n{IN_CHUNKS}",
    "half the headers": f"GET /api/v1/me HTTP/1.1\r\n{HEAD}X-",
}
SLOW = WITHOUT_BODY | {
    "a POST with chunks": f"POST /api/v1/auth/login HTTP/1.1\r\n{IN_CHUNKS}",
    "half a body": f"POST /api/v1/auth/login HTTP/1.1\r\n{HEAD}Content-Length: 100\r\n\r\n{{",
}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[RunningProduct]:
    with RunningProduct(tmp_path_factory.mktemp("product")) as product:
        product.open()
        yield product


@pytest.fixture(scope="module")
def nginx(product: RunningProduct) -> Iterator[Nginx]:
    product.start("web", WEB_LISTEN="unix", WEB_PROCESSES="2")
    with Nginx(product.directory / "nginx", sockets=product.directory / "sockets", processes=2) as nginx:
        eventually(nginx.is_ready)
        yield nginx


def start_two_http2_requests_and_disconnect(port: int) -> None:
    """Without TLS, on one connection. Both requests announce a body and send nothing of it."""
    client = H2Connection()
    client.initiate_connection()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, suppress(OSError):
        connection.sendall(client.data_to_send())
        for _ in range(2):
            client.send_headers(client.get_next_available_stream_id(), UNFINISHED)
        connection.sendall(client.data_to_send())
        with suppress(ProtocolError):
            client.receive_data(connection.recv(65_536))


def test_unfinished_requests_over_http2_stop_no_process(product: RunningProduct) -> None:
    for _ in range(CONNECTIONS):
        start_two_http2_requests_and_disconnect(product.port)
    for _ in range(CONNECTIONS):
        assert eventually(lambda: product.answers("livez"), within=20)


@contextmanager
def slow_clients(request: str, connect: Callable[[], socket.socket], *, count: int = 8) -> Iterator[None]:
    """`count` clients from one address. Eight are more than web has threads."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(connect()).sendall(request.encode())
        yield


@pytest.mark.parametrize("kind", WITHOUT_BODY)
def test_a_request_that_needs_no_body_does_not_wait_for_one(product: RunningProduct, kind: str) -> None:
    def connect() -> socket.socket:
        return socket.create_connection(("127.0.0.1", product.port))

    with slow_clients(WITHOUT_BODY[kind], connect):
        # One for each thread, to show that all threads are free.
        for _ in range(4):
            assert product.answers("livez")


def answer_for(nginx: Nginx, source: str) -> tuple[int, str]:
    """Returns the status and the problem type of a request without a token."""
    connection = HTTPSConnection(
        "localhost", nginx.https_port, context=nginx.context, timeout=20, source_address=(source, 0)
    )
    try:
        connection.request("GET", "/api/v1/me")
        response = connection.getresponse()
        return response.status, json.loads(response.read())["type"]
    finally:
        connection.close()


def running(product: RunningProduct) -> int:
    """Returns how many requests run in both web processes."""
    sockets = [product.directory / "sockets" / f"probes-{number}.sock" for number in (1, 2)]
    return sum((asyncio.run(get_json(socket_path, "/activity")) or {})["running"] for socket_path in sockets)


def connect_over_tls(nginx: Nginx) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", nginx.https_port))
    return nginx.context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("kind", SLOW)
def test_behind_the_proxy_slow_clients_delay_no_other_request(
    product: RunningProduct, nginx: Nginx, kind: str
) -> None:
    with slow_clients(SLOW[kind], partial(connect_over_tls, nginx)):
        # After these nginx has read the slow requests, and must not have passed them on. The watchdog's probes
        # run for moments.
        assert all(nginx.is_ready() for _ in range(8))
        eventually(lambda: running(product) == 0, within=BODY_TIMEOUT / 2)
        for _ in range(8):
            assert answer_for(nginx, "127.0.0.1") == ANSWERED


def test_one_address_cannot_take_every_connection(nginx: Nginx) -> None:
    with slow_clients(SLOW["half a body"], partial(connect_over_tls, nginx), count=LIMIT_PER_ADDRESS):
        eventually(lambda: answer_for(nginx, "127.0.0.1") == (429, "Throttled"), within=8)
        assert answer_for(nginx, "127.0.0.7") == ANSWERED
    eventually(lambda: answer_for(nginx, "127.0.0.1") == ANSWERED)
