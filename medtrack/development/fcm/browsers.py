"""What a browser's push service is to a page: it keeps what FCM accepted for a browser until that browser takes it or
its time is over. Pages listen over plain HTTP on the loopback, as server-sent events; none from elsewhere may."""

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
class Kept:
    id: int
    expires_at: float
    event: bytes


@dataclass(slots=True)
class Mailbox:
    kept: list[Kept] = field(default_factory=list)
    listeners: set[Listener] = field(default_factory=set)


class Mailboxes:
    """One for every token that a page has listened for; instants are seconds since the epoch."""

    def __init__(self) -> None:
        self._boxes: OrderedDict[str, Mailbox] = OrderedDict()
        self._last_id = 0

    def put(self, message: Mapping[str, Any], *, now: float) -> None:
        """Hands an accepted message to who listens, and keeps it for who will. Other devices' are no concern."""
        box = self._boxes.get(str(message.get("token")))
        if box is None:
            return
        # Also after a restart a later message has the larger id.
        self._last_id = max(self._last_id + 1, time.time_ns() // 1000)
        kept = Kept(self._last_id, now + _ttl(message), _event(self._last_id, message))
        box.kept = [*box.kept, kept][-MAX_KEPT:]
        for listener in list(box.listeners):
            listener(kept.event)

    def listen(self, token: str, listener: Listener, *, after: int, now: float) -> None:
        """Everything later than the message `after`, which the browser had, and whatever comes from now on."""
        box = self._boxes.setdefault(token, Mailbox())
        self._boxes.move_to_end(token)
        box.kept = [kept for kept in box.kept if kept.id > after and kept.expires_at > now]
        box.listeners.add(listener)
        for kept in box.kept:
            listener(kept.event)
        self._forget_oldest()

    def stop_listening(self, token: str, listener: Listener) -> None:
        if box := self._boxes.get(token):
            box.listeners.discard(listener)

    def _forget_oldest(self) -> None:
        for token in [token for token, box in self._boxes.items() if not box.listeners]:
            if len(self._boxes) <= MAX_BROWSERS:
                return
            del self._boxes[token]


def _ttl(message: Mapping[str, Any]) -> float:
    headers = (message.get("webpush") or {}).get("headers") or {}
    ttl = next((value for name, value in headers.items() if name.lower() == "ttl"), "")
    return float(ttl) if ttl.isdecimal() else DEFAULT_TTL_SECONDS


def _event(id_: int, message: Mapping[str, Any]) -> bytes:
    """What FCM hands to a page: a silent message has no notification."""
    webpush = message.get("webpush") or {}
    said: dict[str, Any] = {"data": webpush.get("data") or message.get("data") or {}}
    if shown := {**(message.get("notification") or {}), **(webpush.get("notification") or {})}:
        said["notification"] = shown
    return f"id: {id_}\ndata: {json.dumps(said, ensure_ascii=False)}\n\n".encode()


class BrowserListener:
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
    """One request, whose answer does not end until the page goes."""

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
            self._mailboxes.stop_listening(self._token, self._hear)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError:
            self.close()
            return
        if isinstance(event, h11.Request):
            self._answer(event)

    def _answer(self, request: h11.Request) -> None:
        headers = {name: value.decode("latin-1") for name, value in request.headers}
        origin = headers.get(b"origin", "")
        url = urlsplit(request.target.decode("latin-1"))
        query = parse_qs(url.query)
        token = query.get("token", [""])[0]
        if url.path != PATH:
            self._refuse(HTTPStatus.NOT_FOUND)
        elif request.method != b"GET":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
        elif not _is_local(origin):
            self._refuse(HTTPStatus.FORBIDDEN)
        elif not token:
            self._refuse(HTTPStatus.BAD_REQUEST)
        else:
            # A page that comes back by itself says so in the header; one that was loaded anew, in the address.
            after = headers.get(b"last-event-id") or query.get("after", [""])[0]
            self._open(token, origin, int(after) if _ID.fullmatch(after) else 0)

    def _open(self, token: str, origin: str, after: int) -> None:
        headers = [
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-store"),
            ("access-control-allow-origin", origin),
            ("vary", "origin"),
        ]
        self._write(h11.Response(status_code=200, headers=headers, reason="OK"))
        self._hear(_OPENING)
        self._token = token
        self._mailboxes.listen(token, self._hear, after=after, now=time.time())

    def _hear(self, event: bytes) -> None:
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


def _is_local(origin: str) -> bool:
    """Without one it is no page of ours: a browser names the origin of every page that asks across origins."""
    try:
        return urlsplit(origin).hostname in _LOOPBACK
    except ValueError:
        return False
