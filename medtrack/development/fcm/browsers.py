"""Stands in for a browser's push service: keeps messages until the page receives them or they expire.

Pages of this machine receive them as server-sent events, over HTTP on the loopback interface.
"""

import asyncio
import json
import re
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import h11

PATH = "/pushes"
MAX_BROWSERS = 1000
MAX_KEPT = 100
DEFAULT_TTL_SECONDS = 2_419_200.0
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_ID = re.compile(r"[0-9]{1,20}")
_OPENING = b"retry: 500\n\n"

Listener = Callable[[bytes], None]


@dataclass(slots=True, frozen=True)
class KeptMessage:
    id: int
    expires_at: float
    event: bytes


@dataclass(slots=True)
class Mailbox:
    kept: list[KeptMessage] = field(default_factory=list)
    listeners: set[Listener] = field(default_factory=set)


class Mailboxes:
    """A mailbox for every token that a page has listened for. Instants are in seconds since the epoch."""

    def __init__(self) -> None:
        self._boxes: OrderedDict[str, Mailbox] = OrderedDict()
        self._last_id = 0

    def put(self, message: Mapping[str, Any], *, now: float) -> None:
        """Sends an accepted message to the listeners of its token, and keeps it for later ones."""
        box = self._boxes.get(str(message.get("token")))
        if box is None:
            return  # of a phone, or of a page that has never listened
        # Ids grow also over a restart, because they contain the time.
        self._last_id = max(self._last_id + 1, time.time_ns() // 1000)
        webpush = message.get("webpush") or {}
        headers = webpush.get("headers") or {}
        ttl = next((value for name, value in headers.items() if name.lower() == "ttl"), "")
        expires_at = now + (float(ttl) if ttl.isdecimal() else DEFAULT_TTL_SECONDS)
        # The content that FCM sends to a page: a silent message has no notification.
        content: dict[str, Any] = {"data": webpush.get("data") or message.get("data") or {}}
        if notification := {**(message.get("notification") or {}), **(webpush.get("notification") or {})}:
            content["notification"] = notification
        event = f"id: {self._last_id}\ndata: {json.dumps(content, ensure_ascii=False)}\n\n".encode()
        kept = KeptMessage(self._last_id, expires_at, event)
        box.kept = [*box.kept, kept][-MAX_KEPT:]
        for listener in list(box.listeners):
            listener(kept.event)

    def listen(self, token: str, listener: Listener, *, after: int, now: float) -> None:
        """Sends the messages with ids larger than `after`, the last received one, and all future ones."""
        box = self._boxes.setdefault(token, Mailbox())
        self._boxes.move_to_end(token)
        box.kept = [kept for kept in box.kept if kept.id > after and kept.expires_at > now]
        box.listeners.add(listener)
        for kept in box.kept:
            listener(kept.event)
        # Remove the mailboxes that were not used for longest, except those with listeners.
        for unused in [key for key, each in self._boxes.items() if not each.listeners]:
            if len(self._boxes) <= MAX_BROWSERS:
                break
            del self._boxes[unused]

    def stop_listening(self, token: str, listener: Listener) -> None:
        if box := self._boxes.get(token):
            box.listeners.discard(listener)


class BrowserServer:
    def __init__(self, listening: socket.socket, mailboxes: Mailboxes) -> None:
        self._socket = listening
        self._mailboxes = mailboxes
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._mailboxes, self._connections), sock=self._socket
        )

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()


class _Connection(asyncio.Protocol):
    """One request. Its answer is a stream of events that ends when the page disconnects."""

    def __init__(self, mailboxes: Mailboxes, connections: set["_Connection"]) -> None:
        self._mailboxes = mailboxes
        self._connections = connections
        self._http = h11.Connection(h11.SERVER)
        self._token: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, _problem: Exception | None) -> None:
        self._connections.discard(self)
        if self._token is not None:
            self._mailboxes.stop_listening(self._token, self._send_event)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        # Only the request is read. What follows it is ignored, because the answer does not end.
        self._http.receive_data(data)
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError:
            self.close()
            return
        if isinstance(event, h11.Request):
            self._respond(event)

    def _respond(self, request: h11.Request) -> None:
        headers = {name: value.decode("latin-1") for name, value in request.headers}
        origin = headers.get(b"origin", "")
        url = urlsplit(request.target.decode("latin-1"))
        query = parse_qs(url.query)
        token = query.get("token", [""])[0]
        if url.path != PATH:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif request.method != b"GET":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
        elif not _is_loopback(origin):
            # A browser adds the origin to every cross-origin request, so a request without one is not from a
            # page.
            self._refuse(HTTPStatus.FORBIDDEN)
        elif not token:
            self._refuse(HTTPStatus.BAD_REQUEST)
        else:
            # A browser that reconnects sends the header; a page that was loaded again uses the query.
            after = headers.get(b"last-event-id") or query.get("after", [""])[0]
            self._start_stream(token, origin, int(after) if _ID.fullmatch(after) else 0)

    def _start_stream(self, token: str, origin: str, after: int) -> None:
        headers = [
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-store"),
            ("access-control-allow-origin", origin),
            ("vary", "origin"),
        ]
        # No content length: the body continues until the page disconnects.
        self._write(h11.Response(status_code=200, headers=headers, reason="OK"))
        self._send_event(_OPENING)
        self._token = token
        self._mailboxes.listen(token, self._send_event, after=after, now=time.time())

    def _send_event(self, event: bytes) -> None:
        if not self._transport.is_closing():
            self._write(h11.Data(data=event))

    def _refuse(self, status: HTTPStatus) -> None:
        headers = [("content-length", "0"), ("connection", "close")]
        self._write(
            h11.Response(status_code=status, headers=headers, reason=status.phrase), h11.EndOfMessage()
        )
        self.close()

    def _write(self, *events: h11.Event) -> None:
        self._transport.write(b"".join(self._http.send(event) or b"" for event in events))


def _is_loopback(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOOPBACK
    except ValueError:
        return False
