"""The FCM stand-in as a real process over real TLS, by the clients that it is made for."""

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import firebase_admin
import google.auth.transport.requests
import h2.connection
import h2.events
import h2.settings
import httpx
import jwt
import pytest
import requests
from firebase_admin import credentials, messaging
from google.oauth2 import service_account

from medtrack.development.fcm import console, control, oauth
from medtrack.development.fcm.faults import KINDS
from medtrack.development.fcm.identity import ensure_service_account
from medtrack.development.fcm.ledger import Ledger
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


@pytest.fixture(scope="module")
def standin(tmp_path_factory) -> Iterator[FcmStandin]:
    with FcmStandin.start(tmp_path_factory.mktemp("standin")) as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(request) -> Iterator[None]:
    yield
    if "standin" in request.fixturenames:
        running = request.getfixturevalue("standin")
        running.clear_faults()
        running.set_latency(0)


@pytest.fixture(scope="module")
def bearer(standin) -> str:
    return access_token(standin)


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def version(request):
    return request.param


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
    """A reminder as firebase-admin writes it."""
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
    """A bare HTTP/2 client, for what httpx would hide: windows, resets, pings, GOAWAY."""

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


@pytest.fixture
def h2_client(standin, bearer) -> Iterator[H2Client]:
    client = H2Client(standin, bearer)
    yield client
    client.close()


# Accepting


def test_a_reminder_written_by_firebase_admin_is_accepted_and_recorded_as_received(standin, version, bearer):
    reply = send(standin, version, bearer)

    assert reply.status == 200
    assert re.fullmatch(r"projects/medtrack-local/messages/0:\d+%[0-9a-f]{16}", reply.content["name"])
    line = standin.ledger()[-1]
    assert list(line) == ["at", "status", "message", "name"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["at"])
    assert line == {"at": line["at"], "status": 200, "message": message(), "name": reply.content["name"]}


def test_the_ledger_can_be_read_by_a_person(standin, version, bearer):
    send(standin, version, bearer)

    assert "약 드실 시간이에요" in (standin.directory / "ledger.jsonl").read_text().splitlines()[-1]


def test_validate_only_is_answered_but_marked_in_the_ledger(standin, version, bearer):
    accepted = standin.state()["accepted"]

    reply = post(standin, version, {"validate_only": True, "message": message()}, bearer)

    assert reply.content == {"name": "projects/medtrack-local/messages/fake_message_id"}
    assert standin.ledger()[-1]["validate_only"] is True
    assert standin.state()["accepted"] == accepted


ALIVE = {
    "a token of one character": {"token": "x"},
    "a token of 4096 characters": {"token": "x" * 4096},
    "a Firebase installation id": {"token": None, "fid": "c1d2"},
    "a topic": {"token": None, "topic": "news"},
    "a condition": {"token": None, "condition": "'a' in topics"},
    "no notification": {"notification": None},
    "camelCase names": {"android": {"collapseKey": "due", "fcmOptions": {"analyticsLabel": "a"}}},
    "null for absent": {"webpush": None, "android": {"ttl": None}},
    "priority in capitals": {"android": {"priority": "HIGH"}},
    "no time to live": {"android": {"ttl": "0s"}},
    "the longest time to live": {"android": {"ttl": "2419200s"}},
    "a fractional time to live": {"android": {"ttl": "3.5s"}},
    "a data key that FCM only overrides": {"data": {"collapse_key": "x"}},
    "a collapse id of 64 bytes": {"apns": {"headers": {"apns-collapse-id": "é" * 32}}},
    "a payload of 4096 bytes": {
        "notification": None,
        "android": None,
        "apns": None,
        "data": {"k": "x" * 4095},
    },
    "escapes that are longer than what they mean": {"data": {"k": "약" * 1300}, "apns": None},
    "a web push": {"webpush": {"headers": {"TTL": "60"}, "fcm_options": {"link": "https://a.kr"}}},
}


@pytest.mark.parametrize("parts", ALIVE.values(), ids=ALIVE.keys())
def test_a_message_is_accepted_with(standin, bearer, parts):
    sent = message() | parts

    reply = send(standin, "HTTP/1.1", bearer, sent)

    assert (reply.status, standin.ledger()[-1]["message"]) == (200, sent)


def test_every_field_that_firebase_admin_can_write_is_known(standin, bearer):
    light = messaging.LightSettings(
        color="#aabbcc", light_on_duration_millis=200, light_off_duration_millis=1
    )
    android = messaging.AndroidNotification(
        title="t", body="b", icon="i", color="#112233", sound="s", tag="t", click_action="c",
        body_loc_key="k", body_loc_args=["a"], title_loc_key="k", title_loc_args=["a"], channel_id="c",
        image="https://a.kr/i", ticker="t", sticky=True, local_only=True, priority="max",
        vibrate_timings_millis=[100, 250], default_vibrate_timings=False, default_sound=True,
        light_settings=light, default_light_settings=False, visibility="private", notification_count=2,
        proxy="if_priority_lowered",
    )  # fmt: skip
    whole = messaging.Message(
        fid="c1d2",
        data={"a": "b"},
        notification=messaging.Notification("t", "b", "https://a.kr/i"),
        android=messaging.AndroidConfig(
            collapse_key="k", priority="normal", ttl=60, restricted_package_name="p", data={"a": "b"},
            notification=android, fcm_options=messaging.AndroidFCMOptions("label"), direct_boot_ok=True,
            bandwidth_constrained_ok=True, restricted_satellite_ok=True,
        ),
        webpush=messaging.WebpushConfig(
            headers={"TTL": "60"}, data={"a": "b"}, notification=messaging.WebpushNotification("t", "b"),
            fcm_options=messaging.WebpushFCMOptions("https://a.kr"),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "10"},
            payload=messaging.APNSPayload(messaging.Aps(alert="a", badge=1), extra={"deep": [{"x": None}]}),
            fcm_options=messaging.APNSFCMOptions("label", "https://a.kr/i"), live_activity_token="l",
        ),
        fcm_options=messaging.FCMOptions("label"),
    )  # fmt: skip

    assert send(standin, "HTTP/2", bearer, json.loads(str(whole))).status == 200


# Refusing

TOO_BIG = {"data": {"k": "x" * 4096}, "notification": None, "android": None, "apns": None}
IA = "INVALID_ARGUMENT"
REFUSED: dict[str, tuple[dict[str, Any], str | None, str, str]] = {
    "no target": ({"token": None}, IA, "message", "Recipient of the message is not set."),
    "two targets": ({"topic": "news"}, None, "message", "oneof field 'target' is already set"),
    "an empty token": ({"token": ""}, IA, "message.token", "not a valid FCM"),
    "a token too long": ({"token": "x" * 4097}, IA, "message.token", "not a valid FCM"),
    "an invalid token": ({"token": "invalid-1"}, IA, "message.token", "not a valid FCM"),
    "a bad topic": ({"token": None, "topic": "a b"}, IA, "message.topic", "Invalid topic"),
    "an empty condition": ({"token": None, "condition": " "}, IA, "message.condition", "condition"),
    "an unknown name": ({"tokens": []}, None, "message", "Unknown name \"tokens\" at 'message'"),
    "an unknown name inside": ({"android": {"notification": {"badge": 1}}}, None,
                               "message.android.notification", "Unknown name \"badge\" at"),
    "a list for an object": ({"notification": []}, None, "message", "Proto field is not repeating"),
    "text for an object": ({"android": "x"}, None, "message.android", "fcm.v1.AndroidConfig), \"x\""),
    "a number as token": ({"token": 12}, None, "message.token", "at 'message.token' (TYPE_STRING), 12"),
    "a number in data": ({"data": {"a": "b", "n": 12}}, None, "message.data[1].value",
                         "Invalid value at 'message.data[1].value' (TYPE_STRING), 12"),
    "data that is no map": ({"data": "x"}, None, "message", "Unknown name \"data\""),
    "the data key from": ({"data": {"from": "x"}}, IA, "message.data", "payload key: from"),
    "the data key message_type": ({"data": {"message_type": "x"}}, IA, "message.data", "message_type"),
    "a data key of google": ({"data": {"google.x": "x"}}, IA, "message.data", "google.x"),
    "a data key of gcm": ({"data": {"gcm.x": "x"}}, IA, "message.data", "gcm.x"),
    "an android data key": ({"android": {"data": {"from": "x"}}}, IA, "message.android.data", "from"),
    "a payload too big": (TOO_BIG, IA, "message", "Android message is too big"),
    "a topic payload too big": ({"token": None, "topic": "n", "apns": None, "data": {"k": "x" * 2048}},
                                IA, "message", "too big"),
    "an APNs payload too big": ({"apns": {"payload": {"aps": {"alert": "x" * 4096}}}},
                                IA, "message", "APNs message is too big"),
    "a time to live without s": ({"android": {"ttl": "60"}}, None, "message.android.ttl", "must end with 's'"),
    "a number as time to live": ({"android": {"ttl": 60}}, None, "message.android.ttl", "Duration"),
    "a time to live too long": ({"android": {"ttl": "2419201s"}}, IA, "message.android.ttl", "2419200"),
    "a negative time to live": ({"android": {"ttl": "-1s"}}, IA, "message.android.ttl", "-1s"),
    "an unknown priority": ({"android": {"priority": "urgent"}}, None, "message.android.priority", "urgent"),
    "a number in APNs headers": ({"apns": {"headers": {"apns-priority": 10}}}, None,
                                 "message.apns.headers[0].value", "TYPE_STRING"),
    "a collapse id too long": ({"apns": {"headers": {"apns-collapse-id": "é" * 32 + "x"}}}, IA,
                               "message.apns.headers.apns-collapse-id", "apns-collapse-id"),
    "a date as APNs expiration": ({"apns": {"headers": {"apns-expiration": "tomorrow"}}}, IA,
                                  "message.apns.headers.apns-expiration", "tomorrow"),
    "an unknown APNs priority": ({"apns": {"headers": {"apns-priority": "7"}}}, IA,
                                 "message.apns.headers.apns-priority", "7"),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "code", "field", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_message_is_refused_with(standin, bearer, parts, code, field, words):
    sent = {name: part for name, part in (message() | parts).items() if part is not None}

    reply = send(standin, "HTTP/2", bearer, sent)

    error = reply.content["error"]
    assert (reply.status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert (reply.error_code, reply.fields) == (code, [field])
    assert words in error["message"]
    line = standin.ledger()[-1]
    assert (line["status"], line["message"], list(line)) == (400, sent, ["at", "status", "message"])


@pytest.mark.parametrize(
    "body",
    [b"hello", b"", b'{"message": ', b"[]", b'{"a": NaN}', b"\xff", b'{"message": {"token": "\\ud800"}}',
     b'{"message": 5}', b'{"message": null}', b"{}", b"[" * 100_000],
)  # fmt: skip
def test_a_body_without_a_readable_message_is_refused_and_recorded_as_null(standin, version, bearer, body):
    reply = post(standin, version, body, bearer)

    assert (reply.status, reply.content["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert (standin.ledger()[-1]["status"], standin.ledger()[-1]["message"]) == (400, None)


@pytest.mark.parametrize(
    ("device", "status", "name", "code"),
    [
        ("unregistered-1", 404, "NOT_FOUND", "UNREGISTERED"),
        ("sender-mismatch-1", 403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        ("invalid-1", 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("malformed-1", 400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ],
)
def test_a_device_token_can_say_its_own_fate(standin, version, bearer, device, status, name, code):
    reply = send(standin, version, bearer, message(device))

    assert (reply.status, reply.content["error"]["status"], reply.error_code) == (status, name, code)
    assert reply.fields == (["message.token"] if device.startswith("invalid-") else [])
    assert standin.ledger()[-1]["status"] == status


def test_a_send_without_a_token_is_unauthenticated(standin, version):
    reply = send(standin, version, None)

    assert (reply.status, reply.content["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert reply.error_code is None
    assert reply.headers["www-authenticate"].startswith("Bearer realm=")
    assert standin.ledger()[-1]["status"] == 401


@pytest.mark.parametrize("wrong", ["", "ya29.c.", "nonsense", "ya29.c.9999999999.AAAA", "ya29.c.x.y"])
def test_a_send_with_a_wrong_token_is_unauthenticated(standin, version, wrong):
    reply = send(standin, version, wrong)

    assert (reply.status, reply.error_code) == (401, None)
    assert "invalid authentication credentials" in reply.content["error"]["message"]


def test_a_send_with_an_expired_token_is_unauthenticated(standin, version):
    identity = ensure_service_account(standin.directory, project="medtrack-local", url=standin.url)
    an_hour_ago = time.time() - oauth.LIFETIME_SECONDS

    assert send(standin, version, oauth.issue(identity, now=an_hour_ago + 60)).status == 200
    assert send(standin, version, oauth.issue(identity, now=an_hour_ago - 60)).status == 401


def test_another_project_is_denied_by_iam_without_an_fcm_error(standin, version, bearer):
    reply = post(standin, version, {"message": message()}, bearer, path="/v1/projects/other/messages:send")

    assert (reply.status, reply.content["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert reply.error_code is None
    assert reply.detail("type.googleapis.com/google.rpc.ErrorInfo")["reason"] == "IAM_PERMISSION_DENIED"


@pytest.mark.parametrize("path", ["/", "/v1/projects/medtrack-local/messages", "/standin/other"])
def test_an_unknown_path_is_not_found_and_not_recorded(standin, version, bearer, path):
    lines = len(standin.ledger())

    assert post(standin, version, {}, bearer, path=path).status == 404
    assert len(standin.ledger()) == lines


@pytest.mark.parametrize(("method", "path"), [("GET", SEND), ("GET", "/token"), ("PUT", "/standin/faults")])
def test_a_wrong_method_is_not_allowed(standin, version, bearer, method, path):
    reply = post(standin, version, {}, bearer, path=path, method=method)

    assert reply.status == 405
    assert reply.headers["allow"]


# OAuth


def grant(standin: FcmStandin, form: dict[str, str], version: str = "HTTP/1.1") -> Reply:
    return post(standin, version, urlencode(form).encode(), None, path="/token")


def assertion(standin: FcmStandin, *, key: str | None = None, **claims: Any) -> dict[str, str]:
    account = standin.service_account
    now = int(time.time())
    good = {
        "iss": account["client_email"],
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
        "scope": SCOPE,
    }
    payload = {name: value for name, value in (good | claims).items() if value is not None}
    signed = jwt.encode(payload, key or account["private_key"], algorithm="RS256")
    return {"grant_type": GRANT, "assertion": signed}


@pytest.mark.parametrize("audience", [None, "https://oauth2.googleapis.com/token"])
def test_an_assertion_is_exchanged_for_an_access_token(standin, version, audience):
    claims = {"aud": audience} if audience else {}

    reply = grant(standin, assertion(standin, **claims), version)

    assert (reply.status, reply.content["token_type"], reply.content["expires_in"]) == (200, "Bearer", 3599)
    assert send(standin, version, reply.content["access_token"]).status == 200


# `iat` and `exp` are in seconds from now, so that a long run of the tests does not bring them nearer.
BAD_GRANTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "another issuer": ({"iss": "who@else"}, "invalid_grant", "account not found"),
    "another audience": ({"aud": "https://a.kr"}, "invalid_grant", "Failed audience check"),
    "no audience": ({"aud": None}, "invalid_grant", "aud"),
    "an expired assertion": ({"iat": -7200, "exp": -3600}, "invalid_grant", "short-lived"),
    "an assertion from the future": ({"iat": 900, "exp": 1800}, "invalid_grant", "short-lived"),
    "a lasting assertion": ({"exp": 9000}, "invalid_grant", "short-lived"),
    "another scope": ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope", "scope"),
    "no scope": ({"scope": None}, "invalid_scope", "scope"),
}


@pytest.mark.parametrize(("claims", "error", "words"), BAD_GRANTS.values(), ids=BAD_GRANTS.keys())
def test_no_access_token_is_given_for(standin, claims, error, words):
    now = int(time.time())
    claims = {name: now + value if name in ("iat", "exp") else value for name, value in claims.items()}

    reply = grant(standin, assertion(standin, **claims))

    assert (reply.status, reply.content["error"]) == (400, error)
    assert words in reply.content["error_description"]


def test_an_assertion_by_another_key_has_an_invalid_signature(standin, tmp_path):
    ensure_service_account(tmp_path, project="p", url="https://a.kr")
    other = json.loads((tmp_path / "service-account.json").read_text())["private_key"]

    reply = grant(standin, assertion(standin, key=other))

    assert reply.content == {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


@pytest.mark.parametrize("form", [{}, {"grant_type": "password"}, {"grant_type": GRANT, "assertion": "x"}])
def test_a_grant_that_is_no_assertion_is_refused(standin, version, form):
    assert grant(standin, form, version).status == 400


# firebase-admin reads the errors


@pytest.fixture
def firebase_app(standin, monkeypatch) -> Iterator[firebase_admin.App]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(standin.certificate_file))
    account = credentials.Certificate(standin.service_account)
    app = firebase_admin.initialize_app(account, {"projectId": "medtrack-local"}, name="standin")
    # The address is fixed in the library; everything else on the way is its own.
    messaging._get_messaging_service(app)._fcm_url = standin.url + SEND
    yield app
    firebase_admin.delete_app(app)


def test_firebase_admin_sends(standin, firebase_app):
    name = messaging.send(messaging.Message(fid=DEVICE, data={"a": "b"}), app=firebase_app)

    assert standin.ledger()[-1]["name"] == name


def test_firebase_admin_retries_behind_the_back_of_its_caller(standin, firebase_app):
    standin.arm("503", times=2, retry_after=0)
    lines = len(standin.ledger())

    messaging.send(messaging.Message(fid=DEVICE), app=firebase_app)

    assert [line["status"] for line in standin.ledger()[lines:]] == [503, 503, 200]


@pytest.mark.parametrize(
    ("device", "fault", "error"),
    [
        ("unregistered-1", None, messaging.UnregisteredError),
        ("sender-mismatch-1", None, messaging.SenderIdMismatchError),
        (DEVICE, "429", messaging.QuotaExceededError),
        (DEVICE, "429-project", firebase_admin.exceptions.ResourceExhaustedError),
        (DEVICE, "401", messaging.ThirdPartyAuthError),
        ("invalid-1", None, firebase_admin.exceptions.InvalidArgumentError),
    ],
)
def test_firebase_admin_raises(standin, firebase_app, device, fault, error):
    if fault:
        # google-auth takes any 401 for an expired token and tries twice more.
        standin.arm(fault, times=3)

    with pytest.raises(error) as raised:
        messaging.send(messaging.Message(fid=device), app=firebase_app)

    assert type(raised.value) is error


# Faults


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("429", 429, "QUOTA_EXCEEDED"),
        ("429-project", 429, None),
        ("500", 500, "INTERNAL"),
        ("503", 503, "UNAVAILABLE"),
        ("404", 404, "UNREGISTERED"),
        ("401", 401, "THIRD_PARTY_AUTH_ERROR"),
    ],
)
@pytest.mark.parametrize("retry_after", [None, 7])
def test_an_answering_fault_is_answered_and_not_accepted(
    standin, version, bearer, fault, status, code, retry_after
):
    standin.arm(fault, times=2, retry_after=retry_after)
    accepted = standin.state()["accepted"]

    replies = [send(standin, version, bearer) for _ in range(3)]

    assert [reply.status for reply in replies] == [status, status, 200]
    assert replies[0].error_code == code
    assert replies[0].headers.get("retry-after") == (retry_after and str(retry_after))
    assert "retry-after" not in replies[2].headers
    assert [line["status"] for line in standin.ledger()[-3:]] == [status, status, 200]
    assert not any("answer" in line for line in standin.ledger()[-3:])
    assert standin.state()["accepted"] == accepted + 1


@pytest.mark.parametrize(("fault", "status"), [("close", None), ("accept-then-close", 200)])
def test_a_closing_fault_gives_no_answer(standin, version, bearer, fault, status):
    standin.arm(fault)
    before = standin.state()

    with pytest.raises(NoAnswerError):
        send(standin, version, bearer)

    line = standin.ledger()[-1]
    assert (line["status"], line["message"]) == (status, message())
    assert ("name" in line, line.get("answer", "none")) == ((True, None) if status else (False, "none"))
    assert standin.state()["answers_lost"] - before["answers_lost"] == (1 if status else 0)
    assert send(standin, version, bearer).status == 200


@pytest.mark.parametrize(("fault", "status"), [("hang", None), ("accept-then-hang", 200)])
def test_a_hanging_fault_never_answers_and_is_released_when_faults_are_cleared(
    standin, version, bearer, fault, status
):
    standin.arm(fault)

    hanging = in_background(send, standin, version, bearer)
    wait_until_hanging(standin, 1)

    assert standin.ledger()[-1]["status"] == status
    standin.clear_faults()
    with pytest.raises(NoAnswerError):
        hanging.result(20)
    assert standin.state()["hanging"] == 0


def test_a_hanging_fault_ends_by_itself_after_its_seconds(standin, version, bearer):
    standin.arm("hang", seconds=0.05)

    with pytest.raises(NoAnswerError):
        send(standin, version, bearer)


def test_a_client_that_goes_away_no_longer_hangs(standin, bearer):
    standin.arm("hang", times=2)
    client = H2Client(standin, bearer)
    first, _second = client.send({"message": message()}), client.send({"message": message()})
    wait_until_hanging(standin, 2)

    client.http.reset_stream(first)
    client.flush()
    wait_until_hanging(standin, 1)
    client.close()
    wait_until_hanging(standin, 0)


def test_accept_then_503_is_recorded_as_accepted_and_answered_503(standin, version, bearer):
    standin.arm("accept-then-503", retry_after=3)

    reply = send(standin, version, bearer)

    assert (reply.status, reply.error_code, reply.headers["retry-after"]) == (503, "UNAVAILABLE", "3")
    line = standin.ledger()[-1]
    assert list(line) == ["at", "status", "message", "name", "answer"]
    assert (line["status"], line["answer"]) == (200, 503)


def test_faults_strike_in_the_order_armed(standin, version, bearer):
    for fault in ("503", "429", "500"):
        standin.arm(fault)

    assert [send(standin, version, bearer).status for _ in range(4)] == [503, 429, 500, 200]


def test_a_fault_for_one_device_leaves_the_others_alone(standin, version, bearer):
    standin.arm("404", token="demo-device-2")

    replies = [send(standin, version, bearer, message(device)) for device in (DEVICE, "demo-device-2")]

    assert [reply.status for reply in replies] == [200, 404]


def test_an_accepting_fault_waits_for_a_message_that_fcm_would_accept(standin, version, bearer):
    standin.arm("accept-then-503")

    assert send(standin, version, bearer, message("unregistered-1")).status == 404
    assert send(standin, version, bearer).status == 503


def test_a_caller_without_a_token_uses_up_no_fault(standin, version, bearer):
    standin.arm("503")

    assert send(standin, version, None).status == 401
    assert standin.state()["faults"] == [
        {"fault": "503", "times": 1, "retry_after": None, "token": None, "seconds": None}
    ]


def test_the_state_counts(standin, version, bearer):
    before = standin.state()

    send(standin, version, bearer)
    send(standin, version, bearer, message("unregistered-1"))

    after = standin.state()
    assert (after["requests"] - before["requests"], after["accepted"] - before["accepted"]) == (2, 1)


@pytest.fixture
def standin_of_its_own(tmp_path) -> Iterator[FcmStandin]:
    with FcmStandin.start(tmp_path / "own") as running:
        yield running


def test_latency_delays_the_answer_and_not_the_ledger(standin_of_its_own, version):
    standin = standin_of_its_own
    standin.set_latency(600)
    late = in_background(send, standin, version, access_token(standin))
    wait_until(lambda: len(standin.ledger()) == 1)

    assert not late.done()
    assert standin.state()["latency_seconds"] == 600
    assert standin.stop() == 0
    assert late.result(20).status == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "words"),
    [
        ("POST", "/standin/faults", {"fault": "418"}, "fault must be one of: 429,"),
        ("POST", "/standin/faults", {"fault": ["503"]}, "fault must be one of"),
        ("POST", "/standin/faults", {}, "fault must be one of"),
        ("POST", "/standin/faults", [], "must be a JSON object"),
        ("POST", "/standin/faults", {"fault": "503", "time": 1}, "Unknown key 'time'"),
        ("POST", "/standin/faults", {"fault": "503", "times": 0}, "times must be a whole number"),
        ("POST", "/standin/faults", {"fault": "503", "times": True}, "times must be a whole number"),
        ("POST", "/standin/faults", {"fault": "503", "retry_after": -1}, "retry_after must be"),
        ("POST", "/standin/faults", {"fault": "close", "retry_after": 1}, "cannot have retry_after"),
        ("POST", "/standin/faults", {"fault": "503", "seconds": 1}, "only for faults that hang"),
        ("POST", "/standin/faults", {"fault": "503", "token": ""}, "token must be"),
        ("PUT", "/standin/latency", {"seconds": "1"}, "seconds must be a number"),
        ("PUT", "/standin/latency", {}, "seconds must be a number"),
    ],
)
def test_a_bad_control_request_is_told_what_is_wrong(standin, method, path, content, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        standin.control(method, path, content)
    assert standin.state()["faults"] == []


def test_a_control_request_that_is_no_json_is_told_so():
    with pytest.raises(control.ControlError, match="must be JSON"):
        control.read_fault(b"fault=503")


def test_every_fault_of_the_table_is_tried_above():
    assert list(KINDS) == [
        "429", "429-project", "500", "503", "404", "401", "close", "hang",
        "accept-then-503", "accept-then-close", "accept-then-hang",
    ]  # fmt: skip


# HTTP


def test_http1_keeps_the_connection_for_the_next_request(standin, bearer):
    connection = HTTPSConnection("127.0.0.1", standin.port, context=tls(standin), timeout=20)
    connection.connect()
    used = connection.sock
    for _ in range(3):
        connection.request(
            "POST", SEND, json.dumps({"message": message()}), {"Authorization": f"Bearer {bearer}"}
        )
        assert json.loads(connection.getresponse().read())["name"]
    assert connection.sock is used
    connection.close()


def test_http1_answers_requests_that_were_sent_ahead_in_order(standin, bearer):
    request = f"POST {SEND} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {bearer}\r\nContent-Length: "
    bodies = [json.dumps({"message": message(device)}) for device in (DEVICE, "unregistered-1", DEVICE)]
    with tls(standin).wrap_socket(
        socket.create_connection(("127.0.0.1", standin.port), timeout=20), server_hostname="127.0.0.1"
    ) as connection:
        connection.sendall("".join(f"{request}{len(body)}\r\n\r\n{body}" for body in bodies).encode())
        received = b""
        while received.count(b"HTTP/1.1 ") < 3:
            received += connection.recv(65536)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404", b"200"]


def test_http1_that_is_not_http_is_refused(standin):
    with tls(standin).wrap_socket(
        socket.create_connection(("127.0.0.1", standin.port), timeout=20), server_hostname="127.0.0.1"
    ) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")


def test_a_large_body_is_read_whole(standin, version, bearer):
    reply = send(standin, version, bearer, message(data={"k": "x" * 3_000_000}))

    assert (reply.status, reply.content["error"]["message"]) == (400, "Android message is too big")
    assert len(standin.ledger()[-1]["message"]["data"]["k"]) == 3_000_000


def test_http2_announces_a_hundred_streams_like_fcm(h2_client):
    h2_client.wait_for(h2.events.RemoteSettingsChanged)

    assert h2_client.http.remote_settings.max_concurrent_streams == 100


def test_http2_refuses_the_stream_after_the_hundredth_and_keeps_the_connection(standin, h2_client):
    standin.arm("hang", times=100)
    h2_client.http.remote_settings.max_concurrent_streams = 200

    streams = [h2_client.send({"message": message()}) for _ in range(101)]

    refused = h2_client.wait_for(h2.events.StreamReset)
    assert (refused.stream_id, refused.error_code) == (streams[-1], 7)
    wait_until_hanging(standin, 100)


def test_http2_sends_no_more_than_the_window_of_the_client_allows(standin, h2_client):
    http = h2_client.http
    http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    h2_client.flush()
    events = h2_client.events()
    next(event for event in events if getattr(event, "changed_settings", {}).keys() == {4})
    stream_id = h2_client.send({"message": message()})
    next(event for event in events if isinstance(event, h2.events.ResponseReceived))

    received = b""
    while not received.endswith(b"}\n"):
        http.increment_flow_control_window(10, stream_id)
        h2_client.flush()
        chunk = next(event for event in events if isinstance(event, h2.events.DataReceived)).data
        assert 0 < len(chunk) <= 10
        received += chunk
    assert json.loads(received)["name"] == standin.ledger()[-1]["name"]


def test_http2_answers_a_ping(h2_client):
    h2_client.http.ping(b"12345678")
    h2_client.flush()

    assert h2_client.wait_for(h2.events.PingAckReceived).ping_data == b"12345678"


def test_http2_survives_a_stream_that_the_client_resets_halfway(h2_client):
    stream_id = h2_client.http.get_next_available_stream_id()
    h2_client.http.send_headers(stream_id, h2_client.headers)
    h2_client.http.send_data(stream_id, b"{")
    h2_client.http.reset_stream(stream_id)

    answered = h2_client.send({"message": message()})

    assert h2_client.wait_for(h2.events.ResponseReceived).stream_id == answered


def test_http2_closes_a_connection_that_breaks_the_protocol(standin):
    context = tls(standin)
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(
        socket.create_connection(("127.0.0.1", standin.port), timeout=20), server_hostname="127.0.0.1"
    ) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while connection.recv(65536):
            pass
    assert standin.state()


def test_accepted_pushes_whose_answer_a_closed_connection_took_along_are_counted(standin, h2_client):
    standin.set_latency(0.05)
    standin.arm("close", token="demo-device-2")
    lost, lines = standin.state()["answers_lost"], len(standin.ledger())
    for device in [DEVICE] * 20 + ["demo-device-2"] + [DEVICE] * 20:
        h2_client.send({"message": message(device)})

    answered = sum(isinstance(event, h2.events.ResponseReceived) for event in h2_client.events())

    # What was late when the connection closed is counted a moment later.
    accepted = [line for line in standin.ledger()[lines:] if line["status"] == 200]
    wait_until(lambda: answered + standin.state()["answers_lost"] - lost == len(accepted))


def test_two_thousand_concurrent_sends_are_each_in_the_ledger_once(standin, bearer):
    async def send_all() -> list[int]:
        limits = httpx.Limits(max_connections=4)
        async with httpx.AsyncClient(
            http1=False, http2=True, verify=tls(standin), timeout=60, limits=limits, trust_env=False
        ) as client:
            headers = {"authorization": f"Bearer {bearer}"}
            bodies = [{"message": message(data={"burst": str(number)})} for number in range(2000)]
            answers = [client.post(standin.url + SEND, json=body, headers=headers) for body in bodies]
            return [answer.status_code for answer in await asyncio.gather(*answers)]

    assert set(asyncio.run(send_all())) == {200}
    burst = [
        line["message"].get("data", {}).get("burst") for line in standin.ledger() if line["status"] == 200
    ]
    assert sorted(int(number) for number in burst if number) == list(range(2000))


# The ledger


class Recorder:
    """A ledger on a disk that waits to be told, or that is full."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.durable: list[list[str]] = []
        self.failures: list[OSError] = []
        self.syncs = 0
        self.disk_may_go_on = threading.Event()
        monkeypatch.setattr(os, "fsync", self._sync)

    def open(self) -> Ledger[str]:
        return Ledger(self.path, self.durable.append, self.failures.append)

    async def syncing(self) -> None:
        async with asyncio.timeout(20):
            while self.syncs == 0:
                await asyncio.sleep(0)

    def _sync(self, _file: int) -> None:
        self.syncs += 1
        self.disk_may_go_on.wait(20)


def test_nothing_counts_as_recorded_before_the_disk_has_it(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "ledger.jsonl", monkeypatch)

    async def record() -> None:
        ledger = recorder.open()
        ledger.append(b"1", "first")
        await recorder.syncing()
        assert (recorder.durable, recorder.path.read_bytes()) == ([], b"1\n")
        recorder.disk_may_go_on.set()
        await ledger.close()

    asyncio.run(record())

    assert recorder.durable == [["first"]]


def test_what_arrives_while_the_disk_is_busy_shares_one_sync(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "ledger.jsonl", monkeypatch)

    async def record() -> None:
        ledger = recorder.open()
        ledger.append(b"0", "0")
        await recorder.syncing()
        for number in range(1, 100):
            ledger.append(b"%d" % number, str(number))
            await asyncio.sleep(0)
        recorder.disk_may_go_on.set()
        await ledger.close()

    asyncio.run(record())

    assert recorder.syncs == 2
    assert recorder.durable == [["0"], [str(number) for number in range(1, 100)]]
    assert recorder.path.read_text().split() == [str(number) for number in range(100)]


@pytest.mark.parametrize(
    ("found", "kept"),
    [("", ""), ("a\nb\n", "a\nb\n"), ("a\nb", "a\n"), ("torn", ""), ("a\n" + "x" * 200_000, "a\n")],
)
def test_an_opened_ledger_keeps_whole_lines_only(tmp_path, found, kept):
    path = tmp_path / "ledger.jsonl"
    path.write_text(found)

    asyncio.run(Ledger[str](path, print, print).close())

    assert path.read_text() == kept


def test_a_full_disk_ends_it_with_one_sentence_and_without_an_answer(tmp_path):
    (tmp_path / "ledger.jsonl").symlink_to("/dev/full")
    with FcmStandin.start(tmp_path) as running:
        with pytest.raises(NoAnswerError):
            send(running, "HTTP/2", access_token(running))

        assert running.process.wait(20) == 1
        assert running.output().splitlines()[1:] == [
            "FCM stand-in: cannot write the ledger: No space left on device."
        ]


# The process


def test_what_was_answered_is_in_the_ledger_after_a_kill(tmp_path, version):
    running = FcmStandin.start(tmp_path)
    reply = send(running, version, access_token(running))
    running.kill()

    assert [line["name"] for line in running.ledger()] == [reply.content["name"]]


def test_a_restart_keeps_keys_tokens_and_ledger(tmp_path, version):
    with FcmStandin.start(tmp_path) as first:
        token = access_token(first)
        send(first, version, token)
        account, certificate = first.service_account, first.certificate_file.read_bytes()
        assert first.stop() == 0

    with FcmStandin.start(tmp_path) as second:
        assert send(second, version, token).status == 200
        assert len(second.ledger()) == 2
        assert second.certificate_file.read_bytes() == certificate
        assert second.service_account == account | {"token_uri": f"{second.url}/token"}


def test_a_line_torn_by_a_kill_does_not_spoil_the_next(tmp_path):
    with FcmStandin.start(tmp_path) as first:
        send(first, "HTTP/2", access_token(first))
        first.kill()
    with (tmp_path / "ledger.jsonl").open("a") as file:
        file.write('{"at": "2026-01-01T00:00:00.000Z", "status": 200, "mess')

    with FcmStandin.start(tmp_path) as second:
        send(second, "HTTP/2", access_token(second))
        assert [line["status"] for line in second.ledger()] == [200, 200]


def test_the_keys_are_private_and_the_certificate_names_the_loopback(standin):
    for name in ("private-key.pem", "service-account.json"):
        assert (standin.directory / name).stat().st_mode & 0o777 == 0o600
    plain = socket.create_connection(("127.0.0.1", standin.port), timeout=20)
    with tls(standin).wrap_socket(plain, server_hostname="localhost") as secured:
        assert secured.version() == "TLSv1.3"


def test_it_can_be_reached_on_the_loopback_only(standin):
    other = socket.gethostbyname_ex(socket.gethostname())[2]
    for address in {*other, "127.0.0.2"} - {"127.0.0.1"}:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((address, standin.port), timeout=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_says_goaway_and_ends_it_with_status_zero(standin_of_its_own, number):
    standin = standin_of_its_own
    standin.arm("hang")
    client = H2Client(standin, access_token(standin))
    client.send({"message": message()})
    wait_until_hanging(standin, 1)

    standin.process.send_signal(number)

    assert client.wait_for(h2.events.ConnectionTerminated).error_code == 0
    assert standin.process.wait(20) == 0
    assert not (standin.directory / "endpoint").exists()
    assert standin.output() == f"FCM stand-in on {standin.url}\n"
    client.close()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "medtrack.development.fcm", *arguments]
    root = Path(__file__).resolve().parents[4]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


def refused_start(result: subprocess.CompletedProcess[str]) -> str:
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    return result.stderr


def test_a_port_in_use_is_one_sentence(standin, tmp_path):
    result = run("--directory", str(tmp_path), "--port", str(standin.port))

    assert f"cannot listen on 127.0.0.1:{standin.port}" in refused_start(result)


def test_a_directory_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()

    assert "cannot write to" in refused_start(run("--directory", str(tmp_path / "file" / "inside")))


def test_a_directory_in_use_is_one_sentence_and_leaves_the_first_alone(standin_of_its_own):
    result = run("--directory", str(standin_of_its_own.directory))

    assert "in use by another FCM stand-in" in refused_start(result)
    assert (standin_of_its_own.directory / "endpoint").read_text() == standin_of_its_own.url
    assert standin_of_its_own.service_account["token_uri"] == f"{standin_of_its_own.url}/token"


def test_a_broken_service_account_is_one_sentence(tmp_path):
    (tmp_path / "service-account.json").write_text("{}")

    assert "Delete it to have a new one made" in refused_start(run("--directory", str(tmp_path)))


# The terminal


def test_each_accepted_push_is_a_line_on_the_terminal(tmp_path):
    with FcmStandin.start(tmp_path, quiet=False) as running:
        bearer = access_token(running)
        for device in (DEVICE, "unregistered-1"):
            send(running, "HTTP/2", bearer, message(device))
        running.stop()

    first, *pushes = running.output().splitlines()
    assert first == f"FCM stand-in on {running.url}"
    assert pushes == [
        "push accepted  android+ios  demo-device-…  약 드실 시간이에요 — 오전 8시  (due, 2 doses)"
    ]


@pytest.mark.parametrize(
    ("pushed", "line"),
    [
        ({"token": "t"}, "push accepted  any  t  silent data push"),
        ({"topic": "n", "data": {"kind": "withdraw"}}, "push accepted  any  n  silent data push  (withdraw)"),
        ({"token": "t", "data": {"dose_ids": "a"}}, "push accepted  any  t  silent data push  (1 dose)"),
        ({"token": "t", "data": {"dose_ids": ""}, "webpush": {"a": 1}}, "push accepted  web  t  silent data push"),
        ({"token": "t", "notification": {"body": "b\x1b[2J"}}, "push accepted  any  t  b [2J"),
        ({"token": "t", "notification": None, "data": None}, "push accepted  any  t  silent data push"),
    ],
)  # fmt: skip
def test_a_push_with_missing_parts_is_still_a_line(pushed, line):
    assert console.line(pushed) == line
