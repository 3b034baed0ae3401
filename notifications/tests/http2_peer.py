"""A server for the HTTP/2 client of the transport, in the same thread: h2 checks what the client sends."""

from collections import Counter
from contextlib import suppress
from functools import cache

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from hyperframe.frame import (
    Frame,
)

from notifications.transports.header_blocks import Headers
from notifications.transports.http2 import Connection, FinishedRequest

ANSWER = b'{"name": "projects/p/messages/1"}'


@cache
def headers(token: str = "t" * 1024) -> Headers:
    return (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"fcm.example.org"),
        (b":path", b"/v1/projects/p/messages:send"),
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer " + token.encode()),
    )


class Server:
    """h2, which raises if the client breaks the protocol, and what it has seen."""

    def __init__(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.out = self.received = b""
        self.bodies: dict[int, bytes] = {}
        self.headers: dict[int, list[tuple[bytes, bytes]]] = {}
        self.whole: list[int] = []  # and not answered
        self.unread: Counter[int] = Counter()
        self.last = 2**31 - 1

    def receive(self, data: bytes) -> None:
        # Frame by frame: h2 obeys a new frame size only with the next call after it was acknowledged.
        self.received += data
        while size := whole_frame(self.received):
            self._receive(self.received[:size])
            self.received = self.received[size:]

    def _receive(self, frame: bytes) -> None:
        for event in self.h2.receive_data(frame):
            if isinstance(event, RequestReceived):
                self.headers[event.stream_id] = [(bytes(n), bytes(v)) for n, v in event.headers]
                self.bodies[event.stream_id] = b""
            elif isinstance(event, DataReceived):
                self.bodies[event.stream_id] += event.data
                self.unread[event.stream_id] += event.flow_controlled_length
            elif isinstance(event, StreamEnded):
                self.whole.append(event.stream_id)
            elif isinstance(event, StreamReset) and event.stream_id in self.whole:
                self.whole.remove(event.stream_id)

    def read(self) -> None:
        """Gives the windows back."""
        for stream, size in self.unread.items():
            with suppress(ProtocolError):
                self.h2.acknowledge_received_data(size, stream)
        self.unread.clear()

    def frames(self) -> list[bytes]:
        """What h2 has to say, frame by frame."""
        data, frames = self.h2.data_to_send(), []
        while data:
            size = 9 + int.from_bytes(data[:3], "big")
            frames.append(data[:size])
            data = data[size:]
        return frames

    def say(self, *frames: Frame) -> None:
        self.out += b"".join(self.frames()) + b"".join(frame.serialize() for frame in frames)


def whole_frame(data: bytes) -> int:
    """Its size, or that of the words with which a client begins; 0 if it is not there yet."""
    size = 24 if data.startswith(b"PRI") else 9 + int.from_bytes(data[:3], "big")
    return size if 9 <= size <= len(data) else 0


def talk(client: Connection, server: Server) -> list[FinishedRequest]:
    """Until both have nothing to say."""
    finished: list[FinishedRequest] = []
    while True:
        to_server = client.take()
        server.receive(to_server)
        server.say()
        to_client, server.out = server.out, b""
        if not to_server and not to_client:
            return finished
        finished += client.receive(to_client)


def connected() -> tuple[Connection, Server]:
    client, server = Connection(), Server()
    assert talk(client, server) == []
    assert client.free == 100
    return client, server


def answer(server: Server, stream: int, body: bytes = ANSWER) -> None:
    server.h2.send_headers(stream, [(":status", "200")])
    server.h2.send_data(stream, body, end_stream=True)
