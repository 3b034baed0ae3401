"""The stand-in as a browser's push service: pages receive pushes, also those that arrived before."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import pytest

from medtrack.development.fcm import browsers
from medtrack.development.fcm.browsers import Mailboxes
from medtrack.development.fcm.process import FcmStandin
from medtrack.development.fcm.tests.client import access_token
from medtrack.development.fcm.tests.client import send as send_message

ORIGIN = "http://localhost:8000"
NOW = 1_000_000.0


def push(text: str, *, token: str = "web-ana", ttl: str = "600") -> dict[str, Any]:
    return {
        "token": token,
        "notification": {"title": text, "body": "One dose is waiting for you."},
        "data": {"kind": "due", "notification_id": "n1"},
        "webpush": {"headers": {"TTL": ttl}, "notification": {"tag": "t1", "renotify": True}},
    }


class Page:
    """A listener that records its events."""

    def __init__(self) -> None:
        self.events: list[bytes] = []

    def __call__(self, event: bytes) -> None:
        self.events.append(event)

    @property
    def ids(self) -> list[int]:
        return [int(event.split(b"\n")[0].removeprefix(b"id: ")) for event in self.events]

    @property
    def titles(self) -> list[str]:
        messages = [json.loads(event.split(b"\ndata: ")[1]) for event in self.events]
        return [message["notification"]["title"] for message in messages]


@pytest.fixture
def mailboxes() -> Mailboxes:
    mailboxes = Mailboxes()
    mailboxes.listen("web-ana", (page := Page()), after=0, now=NOW)
    mailboxes.stop_listening("web-ana", page)
    return mailboxes


def page_of(mailboxes: Mailboxes, *, after: int = 0, now: float = NOW) -> Page:
    page = Page()
    mailboxes.listen("web-ana", page, after=after, now=now)
    mailboxes.stop_listening("web-ana", page)
    return page


def test_a_page_receives_new_messages_and_those_kept_before(mailboxes):
    page = Page()
    mailboxes.put(push("before"), now=NOW)
    mailboxes.listen("web-ana", page, after=0, now=NOW)
    mailboxes.put(push("while"), now=NOW)
    mailboxes.put(push("for another", token="web-ben"), now=NOW)
    assert page.titles == ["before", "while"]
    assert page.ids == sorted(set(page.ids))


def test_received_messages_are_not_kept(mailboxes):
    mailboxes.put(push("first"), now=NOW)
    mailboxes.put(push("second"), now=NOW)
    (first, _second) = page_of(mailboxes).ids
    assert page_of(mailboxes, after=first).titles == ["second"]
    assert page_of(mailboxes).titles == ["second"]


def test_expired_messages_are_not_kept(mailboxes):
    mailboxes.put(push("short", ttl="60"), now=NOW)
    mailboxes.put(push("at once or never", ttl="0"), now=NOW)
    mailboxes.put(push("long", ttl="600"), now=NOW)
    assert page_of(mailboxes, now=NOW + 61).titles == ["long"]


def test_a_silent_push_has_no_notification(mailboxes):
    mailboxes.put({"token": "web-ana", "data": {"kind": "withdraw", "tag": "t1"}}, now=NOW)
    (event,) = page_of(mailboxes).events
    assert json.loads(event.split(b"\ndata: ")[1]) == {"data": {"kind": "withdraw", "tag": "t1"}}


def test_the_numbers_of_messages_and_browsers_are_limited(mailboxes, monkeypatch):
    monkeypatch.setattr(browsers, "MAX_KEPT", 3)
    monkeypatch.setattr(browsers, "MAX_BROWSERS", 2)
    for number in range(5):
        mailboxes.put(push(str(number)), now=NOW)
    assert page_of(mailboxes).titles == ["2", "3", "4"]
    mailboxes.put(push("kept"), now=NOW)
    for number in range(2):
        mailboxes.listen(f"web-{number}", Page(), after=0, now=NOW)
    assert page_of(mailboxes).titles == []


@pytest.fixture
def token() -> str:
    """A token for this test only, because the stand-in keeps messages for the whole test session."""
    return f"web-{uuid4()}"


@contextmanager
def open_request(
    standin: FcmStandin, path: str, *, method: str = "GET", origin: str | None = ORIGIN, **headers: str
) -> Iterator[HTTPResponse]:
    connection = HTTPConnection(urlsplit(standin.browser_url).netloc, timeout=20)
    try:
        sent_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=sent_headers | ({"Origin": origin} if origin else {}))
        yield connection.getresponse()
    finally:
        connection.close()


def pushes_to(token: str, **query: str) -> str:
    return f"/pushes?{urlencode({'token': token, **query})}"


def next_event(answer: HTTPResponse) -> dict[str, str]:
    """Returns the next event with data."""
    fields: dict[str, str] = {}
    while True:
        line = answer.readline().decode().rstrip("\n")
        if not line and "data" in fields:
            return fields
        name, _, value = line.partition(": ")
        fields[name] = value


def send(standin: FcmStandin, message: dict[str, Any]) -> None:
    assert send_message(standin, "HTTP/1.1", access_token(standin), message).status == 200


def test_a_push_that_fcm_accepts_reaches_the_page(fcm, token):
    with open_request(fcm, pushes_to(token)) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        send(fcm, push("Time for your medicine", token=token))
        first = next_event(answer)
    assert json.loads(first["data"]) == {
        "data": {"kind": "due", "notification_id": "n1"},
        "notification": {
            "title": "Time for your medicine",
            "body": "One dose is waiting for you.",
            "tag": "t1",
            "renotify": True,
        },
    }
    send(fcm, push("While away", token=token))
    for path, headers in (
        (pushes_to(token), {"Last_Event_ID": first["id"]}),
        (pushes_to(token, after=first["id"]), {}),
    ):
        with open_request(fcm, path, **headers) as answer:
            assert "While away" in next_event(answer)["data"]


def test_a_page_does_not_receive_a_refused_message(fcm, token):
    with open_request(fcm, pushes_to(token)) as answer:
        fcm.arm("503")
        assert send_message(fcm, "HTTP/1.1", access_token(fcm), push("refused", token=token)).status == 503
        send(fcm, push("accepted", token=token))
        assert "accepted" in next_event(answer)["data"]


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example.org", "http://localhost.evil.example.org", "http://[", ""]
)
def test_pages_of_other_origins_are_refused(fcm, token, origin):
    with open_request(fcm, pushes_to(token), origin=origin) as answer:
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/standin", 404),
        ("POST", "/pushes?token=a", 405),
        ("OPTIONS", "/pushes?token=a", 405),
        ("GET", "/pushes", 400),
        ("GET", "/pushes?token=", 400),
    ],
)
def test_other_paths_and_methods_are_refused(fcm, method, path, status):
    with open_request(fcm, path, method=method) as answer:
        assert answer.status == status


@pytest.mark.parametrize("after", ["", "x", "-1", "9" * 5000, "²"])
def test_an_invalid_last_id_is_ignored(fcm, token, after):
    with open_request(fcm, pushes_to(token, after=after)) as answer:
        assert answer.status == 200
        send(fcm, push("still there", token=token))
        assert "still there" in next_event(answer)["data"]
