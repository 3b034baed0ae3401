"""HTTP/2 over TLS to one server: many requests over few connections, moved by epoll in one thread.

Connecting, name look-up and handshake included, is done by other threads. Knows nothing of FCM.
"""

import os
import select
import socket
import ssl
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from notifications.transports.header_blocks import Headers
from notifications.transports.http2 import Connection, FinishedRequest

CONNECT_TIMEOUT = 5.0
PAUSE_AFTER_FAILURE = 1.0
STREAMS = 100  # that a connection usually has
# Routers and firewalls forget an idle connection after a while, without closing it.
IDLE = 60.0
CHUNK = 262_144


class Link:
    """A connection with TLS in memory, so that sending and receiving take one system call each."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext) -> None:
        """Waits until the server has sent its limits. Raises OSError."""
        deadline = time.monotonic() + CONNECT_TIMEOUT
        self.connection = Connection()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = b""
        self._is_over = False
        self.socket = socket.create_connection((host, port), timeout=CONNECT_TIMEOUT)
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._shake_hands(deadline)
            self.heard_at = time.monotonic()
            self.socket.setblocking(False)
        except BaseException:
            self.socket.close()
            raise

    @property
    def is_stuck(self) -> bool:
        """Whether the kernel takes no more for now."""
        return bool(self._unsent)

    @property
    def free(self) -> int:
        return 0 if self._unsent else self.connection.free

    def send(self) -> None:
        """Sends the pending bytes of the connection in one piece, as far as the kernel takes them."""
        if plain := self.connection.take():
            view = memoryview(plain)
            while view:
                view = view[self._tls.write(view) :]
        if self._outgoing.pending or self._unsent:
            out = self._unsent + self._outgoing.read()
            try:
                sent = self.socket.send(out)
            except BlockingIOError:
                sent = 0
            self._unsent = out[sent:]

    def receive(self) -> list[FinishedRequest]:
        """Returns the requests that finished; when the connection has ended, its `error` says so."""
        try:
            data = self.socket.recv(CHUNK)
            if not data:
                raise ConnectionError("connection closed")
            self.heard_at = time.monotonic()
            self._incoming.write(data)
            finished = self.connection.receive(b"".join(self._plain()))
            return finished + self.connection.lose("connection closed") if self._is_over else finished
        except BlockingIOError:
            return []
        except OSError as error:  # of TLS as well
            return self.connection.lose(str(error))

    def _plain(self) -> list[bytes]:
        pieces = []
        while self._incoming.pending:
            try:
                plain = self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                break
            if not plain:  # the server's close_notify; what came before it still counts
                self._incoming.read()
                self._is_over = True
            pieces.append(plain)
        return pieces

    def _shake_hands(self, deadline: float) -> None:
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._exchange(deadline)
        if self._tls.selected_alpn_protocol() != "h2":
            raise ConnectionError("the server does not speak HTTP/2")
        # Nothing is sent before the server's limits are there, so that no request breaks them.
        self._tls.write(self.connection.take())
        while not self.connection.is_ready:
            self.connection.receive(b"".join(self._plain()))
            if self.connection.error:
                raise ConnectionError(self.connection.error)
            if not self.connection.is_ready:
                self._exchange(deadline)

    def _exchange(self, deadline: float) -> None:
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        self.socket.sendall(self._outgoing.read())
        data = self.socket.recv(CHUNK)
        if not data:
            raise ConnectionError("connection closed")
        self._incoming.write(data)


class Network:
    """Every request that was started finishes exactly once, unless `close` is called before."""

    def __init__(self, url: str, *, ca_file: str, connections: int, timeout: float) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 443
        self._connections = connections
        self._timeout = timeout
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.set_alpn_protocols(["h2"])
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="connect")
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._connecting: list[Future[Link]] = []
        self._links: dict[int, Link] = {}
        weakref.finalize(self, _leave, self._bell, self._connecting, self._links)
        self._talking: set[Link] = set()
        self._filling: Link | None = None
        self._finished: list[FinishedRequest] = []
        self._error = ""
        self._failed_at = self._look_at = float("-inf")

    def start(self, headers: Headers, body: bytes, request: Any, now: float) -> bool:
        """Starts a request, which the next `send` sends. Returns False if there is no free stream."""
        # One connection is filled before the next, so that few are needed and each `send` is one system call.
        link = self._filling
        if link is None or link.free <= 0:
            link = self._filling = next((link for link in self._links.values() if link.free > 0), None)
            if link is None:
                return False
            self._talking.add(link)
        link.connection.start(headers, body, request, now)
        return True

    def connect(self, requests: int) -> None:
        """Begins as many connections as this number of requests without a free stream needs."""
        # While there is a connection, a failed attempt is repeated after a pause. Without any, it is at once.
        if self._links and time.monotonic() < self._failed_at + PAUSE_AFTER_FAILURE:
            return
        room = self._connections - len(self._links) - len(self._connecting)
        for _ in range(min(room, -(-requests // STREAMS) - len(self._connecting))):
            connecting = self._threads.submit(Link, *self._address, self._tls)
            self._connecting.append(connecting)
            # Called in the connecting thread: the event wakes up `receive`.
            connecting.add_done_callback(lambda _: os.eventfd_write(self._bell, 1))

    def why_unreachable(self) -> str:
        """Returns once why the last attempt failed, if there is no other connection and no other attempt."""
        if self._error and (
            self._connecting or any(not n.connection.is_leaving for n in self._links.values())
        ):
            return ""
        error, self._error = self._error, ""
        return error

    def send(self) -> None:
        """Sends the requests started since the last time, in one piece for each connection."""
        for link in self._talking:
            self._flush(link)
        self._talking.clear()
        self._filling = None

    def receive(self, wait: float) -> list[FinishedRequest]:
        """Returns what has finished; waits for the network up to `wait` seconds, sometimes less."""
        finished, self._finished = self._finished, []
        now = time.monotonic()
        wait = 0.0 if finished else max(0.0, min(wait, self._look_at - now))
        for descriptor, _ in self._epoll.poll(wait):
            if descriptor == self._bell:
                os.eventfd_read(self._bell)
                for connecting in [future for future in self._connecting if future.done()]:
                    self._connecting.remove(connecting)
                    try:
                        link = connecting.result()
                    except OSError as error:
                        # `why_unreachable` returns it if no other attempt succeeds.
                        self._error, self._failed_at = str(error) or type(error).__name__, time.monotonic()
                        continue
                    self._error = ""
                    self._links[link.socket.fileno()] = link
                    self._epoll.register(link.socket, select.EPOLLIN)
            elif ready := self._links.get(descriptor):
                finished += ready.receive()
                self._flush(ready)
        now = time.monotonic()
        if now >= self._look_at:
            finished += self._look(now)
        return finished

    def close(self) -> None:
        """Closes all connections and forgets their requests; can be used again."""
        for connecting in self._connecting:
            # An attempt that has begun cannot be cancelled: its connection is closed when it is there.
            connecting.cancel()
            connecting.add_done_callback(_discard)
        self._connecting.clear()
        for link in list(self._links.values()):
            self._drop(link)
        self._finished.clear()
        self._error = ""

    def _flush(self, link: Link) -> None:
        was_stuck = link.is_stuck
        try:
            link.send()
        except OSError as error:
            self._finished += link.connection.lose(str(error))
        if link.connection.is_over:
            self._drop(link)
        elif link.is_stuck != was_stuck:
            # Always waiting for EPOLLOUT would end each poll at once, as a socket is nearly always writable.
            self._epoll.modify(link.socket, _EVENTS[link.is_stuck])

    def _drop(self, link: Link) -> None:
        if self._links.pop(link.socket.fileno(), None):
            self._epoll.unregister(link.socket)
            link.socket.close()
        if self._filling is link:
            self._filling = None

    def _look(self, now: float) -> list[FinishedRequest]:
        finished: list[FinishedRequest] = []
        for link in list(self._links.values()):
            # One late answer fails one request. A server that sends nothing at all has probably gone; what came
            # right after the request, such as the acknowledgement of our settings, is no sign of life.
            late = link.connection.expire(now - self._timeout)
            finished += late
            if late and link.heard_at < now - 0.9 * self._timeout:
                finished += link.connection.lose("nothing heard")
            elif not link.connection.streams and link.heard_at < now - IDLE:
                link.connection.lose("idle")
            self._flush(link)
        oldest = (link.connection.oldest for link in self._links.values())
        # The next look is when the oldest request is late, or in a second.
        self._look_at = min(
            [now + 1.0, *(started + self._timeout for started in oldest if started is not None)]
        )
        return finished


_EVENTS = {False: select.EPOLLIN, True: select.EPOLLIN | select.EPOLLOUT}


def _leave(bell: int, connecting: list[Future[Link]], links: dict[int, Link]) -> None:
    # Called when a network is garbage collected without `close`. It must not refer to the network itself, or
    # that would never happen.
    for link in links.values():
        link.socket.close()
    for future in connecting:
        future.add_done_callback(_discard)
    os.close(bell)


def _discard(connecting: Future[Link]) -> None:
    if not connecting.cancelled() and not connecting.exception():
        connecting.result().socket.close()
