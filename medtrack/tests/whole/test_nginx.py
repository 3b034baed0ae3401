"""The proxy with the configuration of docker-compose.yml: Debian's nginx in front of real web processes."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from h2.connection import H2Connection
from h2.events import ResponseReceived

from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.nginx import Nginx
from medtrack.tests.support.running_product import RunningProduct, eventually

METRICS = {"Authorization": "Bearer the-metrics-token"}
GUESS = {"email": "cleo@example.com", "password": "a wrong password"}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[RunningProduct]:
    with RunningProduct(tmp_path_factory.mktemp("product")) as product:
        product.environment |= {
            "WEB_LISTEN": "unix",
            "WEB_PROCESSES": "2",
            "METRICS_TOKEN": "the-metrics-token",
            "SECURE_SSL_REDIRECT": "true",
            "THROTTLES": "login=3/600,signup=100/60",
        }
        product.start("web")
        yield product


@pytest.fixture(scope="module")
def nginx(product: RunningProduct) -> Iterator[Nginx]:
    # Another proxy in front of this one.
    trusted = {"TRUSTED_PROXIES": "127.0.0.2"}
    with Nginx(product.directory / "nginx", sockets=sockets(product), processes=2, **trusted) as nginx:
        eventually(nginx.is_ready)
        yield nginx


def sockets(product: RunningProduct) -> Path:
    return product.directory / "sockets"


def ask(
    nginx: Nginx, method: str, path: str, body: Any = None, *, source: str = "127.0.0.1", **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    connection = HTTPSConnection(
        "localhost", nginx.https_port, context=nginx.context, timeout=20, source_address=(source, 0)
    )
    content = None if body is None else json.dumps(body).encode()
    return answer(connection, method, path, content, {"Content-Type": "application/json", **headers})


def answer(
    connection: HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, bytes, dict[str, str]]:
    try:
        connection.request(method, path, body, headers)
        response: HTTPResponse = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()


def ask_plainly(port: int, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    return answer(HTTPConnection("127.0.0.1", port, timeout=20), "GET", path, None, headers)


def test_the_api_is_reached_over_tls(nginx: Nginx) -> None:
    person = {"email": "ana@example.com", "password": PASSWORD}
    status, body, _ = ask(nginx, "POST", "/api/v1/auth/signup", person)
    assert status == 201
    token = json.loads(body)["access"]
    status, body, headers = ask(
        nginx, "GET", "/api/v1/me", **{"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip, br"}
    )
    assert (status, json.loads(body)["email"]) == (200, "ana@example.com")
    assert "Content-Encoding" not in headers


def test_clients_can_use_http2(nginx: Nginx) -> None:
    context = nginx.context
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection(("127.0.0.1", nginx.https_port), timeout=20)
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        assert connection.selected_alpn_protocol() == "h2"
        client = H2Connection()
        client.initiate_connection()
        headers = [
            (":method", "GET"),
            (":path", "/api/v1/me"),
            (":scheme", "https"),
            (":authority", "localhost"),
        ]
        client.send_headers(1, headers, end_stream=True)
        connection.sendall(client.data_to_send())
        events: list[Any] = []
        while not (answers := [each for each in events if isinstance(each, ResponseReceived)]):
            events += client.receive_data(connection.recv(65_536))
    assert dict(answers[0].headers)[b":status"] == b"401"


def test_plain_http_is_redirected_except_for_the_api(nginx: Nginx) -> None:
    status, _, headers = ask_plainly(nginx.http_port, "/admin/", Host="localhost")
    assert (status, headers["Location"]) == (301, "https://localhost/admin/")
    assert ask_plainly(nginx.http_port, "/api/v1/me", Host="localhost")[0] == 403


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
def test_readiness_and_metrics_are_reachable_only_from_inside(nginx: Nginx, path: str) -> None:
    assert ask(nginx, "GET", path, **METRICS)[0] == 404
    assert ask_plainly(nginx.inside_port, path, **METRICS)[0] == 200


def test_the_inner_port_serves_nothing_else(nginx: Nginx) -> None:
    assert ask_plainly(nginx.inside_port, "/activity")[0] == 404
    assert ask_plainly(nginx.inside_port, "/admin/")[0] == 404
    assert ask(nginx, "GET", "/livez")[:2] == (200, b"ok")


def guess(nginx: Nginx, *, source: str = "127.0.0.1", **headers: str) -> int:
    return ask(nginx, "POST", "/api/v1/auth/login", GUESS, source=source, **headers)[0]


def test_a_client_cannot_choose_the_address_that_is_limited(nginx: Nginx) -> None:
    source = "127.0.0.9"
    invented = [
        *({"X-Forwarded-For": f"198.51.100.{number}"} for number in range(3)),
        {"X_Forwarded_For": "198.51.100.7"},
    ]
    assert [guess(nginx, source=source, **headers) for headers in invented] == [401, 401, 401, 429]


def test_a_trusted_proxy_in_front_names_the_client(nginx: Nginx) -> None:
    answers = [
        guess(nginx, source="127.0.0.2", **{"X-Forwarded-For": f"203.0.113.{number}"}) for number in range(5)
    ]
    assert answers == [401] * 5


def test_a_too_large_request_is_the_same_problem_from_nginx_and_from_web(nginx: Nginx) -> None:
    for megabytes in (2.5, 5):
        status, body, _ = ask(nginx, "POST", "/api/v1/auth/login", {"email": "x" * int(megabytes * 2**20)})
        assert (status, json.loads(body)["type"]) == (413, "RequestTooLarge")


def test_the_log_contains_no_queries(nginx: Nginx) -> None:
    ask(nginx, "GET", "/admin/console/patient/?q=Metformin")
    log = nginx.directory / "nginx.log"
    eventually(lambda: "/admin/console/patient/" in log.read_text())
    assert "Metformin" not in log.read_text()


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8", "10.0.0.0/8, ::1"])
def test_nginx_accepts_the_configuration(tmp_path: Path, trusted: str) -> None:
    nginx = Nginx(tmp_path, sockets=tmp_path, processes=3, TRUSTED_PROXIES=trusted)
    assert "test is successful" in nginx.check()
    assert nginx.configuration.read_text().count("server unix:") == 6
