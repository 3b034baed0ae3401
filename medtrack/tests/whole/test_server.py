"""Raw bytes sent to a real web process. No test depends on which web server it is."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from medtrack.tests.support.api import assert_in_schema
from medtrack.tests.support.builders import PASSWORD
from medtrack.tests.support.running_product import RunningProduct

PERSON = {"email": "ana@example.com", "password": PASSWORD}
SMALL, LARGE = b'{"name": "Metformin"}', b'{"name": "' + b"x" * 10_000_000 + b'"}'


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[RunningProduct]:
    with RunningProduct(tmp_path_factory.mktemp("product")) as product:
        product.open()
        yield product


@pytest.fixture(scope="module")
def token(product: RunningProduct) -> str:
    return str(product.api("POST", "auth/signup", PERSON)["access"])


def answer_to(product: RunningProduct, request: bytes) -> tuple[int, bytes]:
    """Returns the status and the body; the status is 0 when the server closes the connection."""
    with socket.create_connection(("127.0.0.1", product.port), timeout=30) as connection:
        # The server may answer and close the connection before it has read the whole request.
        with suppress(ConnectionError):
            connection.sendall(request)
        response = HTTPResponse(connection)
        try:
            response.begin()
            return response.status, response.read()
        except (ConnectionError, OSError, ValueError):
            return 0, b""
        except Exception as error:
            if type(error).__module__ == "http.client":
                return 0, b""
            raise


def posted(token: str, *headers: str, body: bytes) -> bytes:
    head = [
        "POST /api/v1/medications HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Authorization: Bearer {token}",
        *headers,
        "Connection: close",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def chunked(body: bytes, size: int = 65_536) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])


def checked(status: int, body: bytes) -> Any:
    content = json.loads(body)
    assert_in_schema("POST", "/api/v1/medications", status, content)
    return content


def test_a_chunked_body_is_read(product: RunningProduct, token: str) -> None:
    request = posted(token, "Transfer-Encoding: chunked", body=chunked(SMALL, size=5))
    status, body = answer_to(product, request)
    assert (status, checked(status, body)["name"]) == (201, "Metformin")


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_that_is_too_large_is_refused(product: RunningProduct, token: str, in_chunks: bool) -> None:
    if in_chunks:
        request = posted(token, "Transfer-Encoding: chunked", body=chunked(LARGE))
    else:
        request = posted(token, f"Content-Length: {len(LARGE)}", body=LARGE)
    status, body = answer_to(product, request)
    # A reset of the connection while the rest of the body arrives may discard the answer.
    assert status in (413, 0)
    assert not body or checked(status, body)["type"] == "RequestTooLarge"
    assert product.rows("SELECT 1 FROM medications WHERE length(name) > 200") == []


@pytest.mark.parametrize(
    "line",
    [
        *("GET /api/v1/%00", "GET /api/v1/me%00", "GET /api/v1/doses/%00/trace", "GET /api/v1/%ff%fe"),
        *("GET /api/v1/../v1/unknown", "GET //api/v1/me", "GET /api/v1/me/", "DELETE /api/v1/%2e%2e/me"),
    ],
)
def test_an_unknown_path_is_a_problem(product: RunningProduct, line: str) -> None:
    status, body = answer_to(
        product, f"{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    )
    assert status == 404
    if "/api/v1/" in line.split()[1][:8]:
        assert json.loads(body)["type"] == "NotFound"


@pytest.mark.parametrize("host", ["evil.example.org", "", "a b", "localhost:99999999999"])
def test_an_unknown_host_is_refused(product: RunningProduct, host: str) -> None:
    request = f"GET /api/v1/me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert answer_to(product, request.encode())[0] in (400, 401)


def test_head_has_no_body(product: RunningProduct, token: str) -> None:
    request = f"HEAD /api/v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    with socket.create_connection(("127.0.0.1", product.port), timeout=30) as connection:
        connection.sendall(f"{request}Connection: close\r\n\r\n".encode())
        response = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, body = response.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b""


BROKEN = {
    "a line that is none": b"\0\1\2\3\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00",
    "a line of 100 kB": b"GET /api/v1/" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a query of 100 kB": b"GET /api/v1/me?" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a header of 1 MB": b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
    "10,000 headers": b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    "a NUL in a header": b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \0\r\n\r\n",
    "a length that is none": b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "two lengths": (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello"
    ),
    "a length and chunks": (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ),
    "a chunk of no size": (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    ),
    "an encoding of no name": (
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: gzip, nonsense\r\n\r\n{}"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_malformed_requests_are_refused_and_the_server_continues(product: RunningProduct, name: str) -> None:
    status, body = answer_to(product, BROKEN[name])
    assert status == 0 or 400 <= status < 500 or (status == 501 and "encoding" in name)
    assert b"Traceback" not in body
    assert product.answers("livez")


def test_a_client_that_disconnects_within_its_body_causes_no_error(
    product: RunningProduct, token: str
) -> None:
    for headers, body in (
        (("Content-Length: 1000",), SMALL[:-5]),
        (("Transfer-Encoding: chunked",), chunked(SMALL)[:10]),
    ):
        with socket.create_connection(("127.0.0.1", product.port), timeout=30) as connection:
            connection.sendall(posted(token, *headers, body=body))
            connection.shutdown(socket.SHUT_WR)
            response = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert not response or b" 4" in response.splitlines()[0]
    assert product.answers("livez")


def test_no_error_was_logged(product: RunningProduct) -> None:
    log = (Path(product.directory) / "web.log").read_text()
    assert "request_failed" not in log
    assert "Traceback" not in log
