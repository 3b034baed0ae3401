"""HTTP/1.1 and HTTP/2 clients for the FCM stand-in."""

import json
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from typing import Any

import google.auth.transport.requests
import h2.connection
import h2.events
import h2.settings
import httpx
import pytest
import requests
from firebase_admin import messaging
from google.oauth2 import service_account

from medtrack.development.fcm.process import FcmStandin

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


SEND = "/v1/projects/medtrack-local/messages:send"


FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


DEVICE = "demo-device-0001"


GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class NoAnswerError(Exception):
    """The connection ended, or the stream was reset, before there was an answer."""


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    content: Any

    def detail(self, type_: str) -> Any:
        details = self.content["error"].get("details", [])
        return next((detail for detail in details if detail["@type"] == type_), {})

    @property
    def error_code(self) -> str | None:
        code: str | None = self.detail(FCM_ERROR).get("errorCode")
        return code

    @property
    def fields(self) -> list[str]:
        violations = self.detail(BAD_REQUEST).get("fieldViolations", [])
        return [violation.get("field", "") for violation in violations]


def access_token(standin: FcmStandin) -> str:
    session = requests.Session()
    session.trust_env = False
    session.verify = str(standin.certificate_file)
    account = service_account.Credentials.from_service_account_info(standin.service_account, scopes=[SCOPE])
    account.refresh(google.auth.transport.requests.Request(session))
    return str(account.token)


def tls(standin: FcmStandin) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(standin.certificate_file))


def message(device: str = DEVICE, **parts: Any) -> dict[str, Any]:
    """Returns a reminder as firebase-admin encodes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        reminder = messaging.Message(
            token=device,
            notification=messaging.Notification(title="약 드실 시간이에요", body="오전 8시"),
            data={"kind": "due", "dose_ids": "a1,b2", "notification_id": "n1"},
            android=messaging.AndroidConfig(
                priority="high",
                ttl=1800.5,
                collapse_key="due",
                notification=messaging.AndroidNotification(tag="r1", channel_id="doses"),
            ),
            apns=messaging.APNSConfig(
                headers={"apns-collapse-id": "r1", "apns-expiration": "1800000000"},
                payload=messaging.APNSPayload(messaging.Aps(sound="default", content_available=True)),
            ),
        )
    written: dict[str, Any] = json.loads(str(reminder)) | parts
    return {name: part for name, part in written.items() if part is not None}


def post(
    standin: FcmStandin,
    version: str,
    body: object,
    bearer: str | None,
    *,
    path: str = SEND,
    method: str = "POST",
) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer}"
    by_version = post_http1 if version == "HTTP/1.1" else post_http2
    return by_version(standin, method, path, data, headers)


def post_http1(standin, method, path, data, headers) -> Reply:
    connection = HTTPSConnection("127.0.0.1", standin.port, context=tls(standin), timeout=20)
    try:
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        answer = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, answer, json.loads(response.read()))
    except (HTTPException, OSError) as problem:
        raise NoAnswerError from problem
    finally:
        connection.close()


def post_http2(standin, method, path, data, headers) -> Reply:
    with httpx.Client(http1=False, http2=True, verify=tls(standin), timeout=20, trust_env=False) as client:
        try:
            response = client.request(method, standin.url + path, content=data, headers=headers)
        except httpx.TransportError as problem:
            raise NoAnswerError from problem
    assert response.http_version == "HTTP/2"
    return Reply(response.status_code, dict(response.headers), response.json())


def send(standin, version, bearer, sent=None) -> Reply:
    return post(standin, version, {"message": message() if sent is None else sent}, bearer)


def in_background(function, *arguments) -> Future[Any]:
    executor = ThreadPoolExecutor(1)
    future = executor.submit(function, *arguments)
    executor.shutdown(wait=False)
    return future


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        time.sleep(0.01)
    pytest.fail("waited in vain")


def wait_until_hanging(standin: FcmStandin, count: int) -> None:
    wait_until(lambda: standin.state()["hanging"] == count)


class H2Client:
    """A low-level HTTP/2 client, for what httpx hides: windows, resets, pings, GOAWAY."""

    def __init__(self, standin: FcmStandin, bearer: str) -> None:
        context = tls(standin)
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", standin.port), timeout=20)
        self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        self.http = h2.connection.H2Connection()
        self.http.initiate_connection()
        self.headers = [
            (":method", "POST"),
            (":path", SEND),
            (":scheme", "https"),
            (":authority", "127.0.0.1"),
            ("authorization", f"Bearer {bearer}"),
        ]

    def send(self, body: object) -> int:
        stream_id = self.http.get_next_available_stream_id()
        self.http.send_headers(stream_id, self.headers)
        self.http.send_data(stream_id, json.dumps(body).encode(), end_stream=True)
        self.flush()
        return stream_id

    def flush(self) -> None:
        self.socket.sendall(self.http.data_to_send())

    def events(self) -> Iterator[h2.events.Event]:
        while data := self.socket.recv(65536):
            yield from self.http.receive_data(data)
            self.flush()

    def wait_for(self, type_: type[h2.events.Event]) -> Any:
        return next(event for event in self.events() if isinstance(event, type_))

    def close(self) -> None:
        self.socket.close()
