"""Our side of HTTP/2 against the `h2` library as the server, in memory: whatever it does, each request lands once."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifications.transports.header_blocks import Headers
from notifications.transports.http2 import LARGEST_BODY, Connection, Landed

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
        self.out = self.heard = b""
        self.bodies: dict[int, bytes] = {}
        self.headers: dict[int, list[tuple[bytes, bytes]]] = {}
        self.whole: list[int] = []  # and not answered
        self.unread: Counter[int] = Counter()
        self.last = 2**31 - 1

    def receive(self, data: bytes) -> None:
        # Frame by frame: h2 obeys a new frame size only with the next call after it was acknowledged.
        self.heard += data
        while size := whole_frame(self.heard):
            self._receive(self.heard[:size])
            self.heard = self.heard[size:]

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


def talk(client: Connection, server: Server) -> list[Landed]:
    """Until both have nothing to say."""
    landed: list[Landed] = []
    while True:
        to_server = client.take()
        server.receive(to_server)
        server.say()
        to_client, server.out = server.out, b""
        if not to_server and not to_client:
            return landed
        landed += client.receive(to_client)


def connected() -> tuple[Connection, Server]:
    client, server = Connection(), Server()
    assert talk(client, server) == []
    assert client.free == 100
    return client, server


def answer(server: Server, stream: int, body: bytes = ANSWER) -> None:
    server.h2.send_headers(stream, [(":status", "200")])
    server.h2.send_data(stream, body, end_stream=True)


def split(frame: HeadersFrame, cuts: list[int], padding: int, *, has_priority: bool) -> list[Frame]:
    """The same headers, padded and continued."""
    block = frame.data
    pieces = [block[a:b] for a, b in zip([0, *cuts], [*cuts, len(block)], strict=True)]
    first = HeadersFrame(frame.stream_id, pieces[0], flags=set(frame.flags) - {"END_HEADERS"})
    if padding:
        first.flags.add("PADDED")
        first.pad_length = padding
    if has_priority:
        first.flags.add("PRIORITY")
    parts: list[Frame] = [first, *(ContinuationFrame(frame.stream_id, piece) for piece in pieces[1:])]
    parts[-1].flags.add("END_HEADERS")
    return parts


class Story:
    """One drawn course of events between a client and a server that are slow to hear each other."""

    def __init__(self, draw: Callable[..., Any]) -> None:
        self.draw = draw
        # h2 takes the first acknowledgement for that of a later change.
        self.client, self.server = connected()
        self.to_server = b""
        self.landed: list[Landed] = []
        self.sent: dict[int, tuple[Headers, bytes]] = {}
        self.processed: set[int] = set()
        self.answered: dict[int, bytes] = {}
        self.token = headers()
        self.now = 0.0

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def start(self) -> None:
        if self.pick(*[False] * 9, True):
            self.token = headers(self.pick("a", "b" * 1500, "c" * 5000))
        for _ in range(self.pick(1, 3, 20)):
            if self.client.free > 0:
                self.now += 1
                size = self.pick(0, 1, 400, 400, 400, 16_384, 16_385, 70_000)
                number = 2 * len(self.sent) + 1
                self.sent[number] = self.token, bytes([number % 256]) * size
                self.client.start(self.token, self.sent[number][1], number, self.now)

    def client_speaks(self) -> None:
        self.to_server += self.client.take()
        size = self.draw(st.integers(0, len(self.to_server)))
        self.server.receive(self.to_server[:size])
        self.to_server = self.to_server[size:]

    def server_speaks(self) -> None:
        self.server.say()
        size = self.draw(st.integers(0, len(self.server.out)))
        self.landed += self.client.receive(self.server.out[:size])
        self.server.out = self.server.out[size:]

    def server_answers(self) -> None:
        h2 = self.server.h2
        waiting = [stream for stream in self.server.whole if stream <= self.server.last]
        if not waiting:
            return
        stream = self.pick(*waiting)
        self.server.whole.remove(stream)
        self.processed.add(stream)
        room = min(h2.local_flow_control_window(stream), h2.max_outbound_frame_size) - 300
        body = b"%d" % stream + b"." * min(self.pick(0, 10, 10, 3000), max(0, room))
        if room < 100:
            return
        self.server.say()
        if self.pick(False, False, True):
            h2.send_headers(stream, [(":status", "103")])
        h2.send_headers(stream, [(":status", "200"), ("date", "now"), ("retry-after", str(stream))])
        self.say_split()
        has_trailers = self.pick(False, False, True)
        h2.send_data(stream, body, pad_length=self.pick(None, None, 0, 200), end_stream=not has_trailers)
        if has_trailers:
            h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        self.say_split()
        self.answered[stream] = body

    def say_split(self) -> None:
        for data in self.server.frames():
            frame, size = Frame.parse_frame_header(memoryview(data)[:9])
            frame.parse_body(memoryview(data)[9 : 9 + size])
            if isinstance(frame, HeadersFrame) and "END_HEADERS" in frame.flags and self.pick(True, False):
                cuts = sorted(
                    self.draw(st.lists(st.integers(1, max(1, len(frame.data) - 1)), max_size=3, unique=True))
                )
                cuts = [cut for cut in cuts if cut < len(frame.data)]
                for part in split(frame, cuts, self.pick(0, 7), has_priority=self.pick(False, True)):
                    self.server.out += part.serialize()
            else:
                self.server.out += data

    def server_resets(self) -> None:
        open_streams = [
            stream
            for stream in self.server.bodies
            if stream not in self.answered and stream <= self.server.last
        ]
        if not open_streams:
            return
        stream = self.pick(*open_streams)
        is_refused = stream not in self.processed and self.pick(True, False)
        if stream in self.server.whole:
            self.server.whole.remove(stream)
            if not is_refused:
                self.processed.add(stream)
        with suppress(ProtocolError):
            self.server.h2.reset_stream(
                stream, ErrorCodes.REFUSED_STREAM if is_refused else ErrorCodes.INTERNAL_ERROR
            )

    def server_changes_its_mind(self) -> None:
        self.server.h2.update_settings(
            {
                SettingCodes.INITIAL_WINDOW_SIZE: self.pick(0, 1, 100, 65_535, 1_000_000),
                SettingCodes.HEADER_TABLE_SIZE: self.pick(0, 100, 1500, 4096, 65_536),
                SettingCodes.MAX_CONCURRENT_STREAMS: self.pick(0, 1, 10, 100, 1000),
                SettingCodes.MAX_FRAME_SIZE: self.pick(16_384, 20_000, 100_000),
            }
        )

    def server_reads(self) -> None:
        self.server.read()

    def server_says_something_else(self) -> None:
        self.server.say(self.pick(PingFrame(0, opaque_data=b"12345678"), PriorityFrame(1, depends_on=3)))
        self.server.out += b"\x00\x00\x08\xfa\xff\x00\x00\x00\x01whatever"

    def server_says_goodbye(self) -> None:
        touched = [stream for stream in self.processed if stream <= self.server.last]
        lowest = max(touched, default=0)
        self.server.last = min(
            self.server.last, self.pick(lowest, max(lowest, *self.server.bodies, 0), 2**31 - 1)
        )
        self.server.say(GoAwayFrame(0, last_stream_id=self.server.last))

    def client_gives_up(self) -> None:
        self.landed += self.client.expire(self.pick(0, 1, self.now / 2))

    def end(self) -> None:
        """The server becomes generous; then the connection ends."""
        self.server.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
        for _ in range(200):
            self.to_server += self.client.take()
            self.server.receive(self.to_server)
            self.to_server = b""
            self.server.read()
            for stream in [stream for stream in self.server.whole if stream <= self.server.last]:
                self.server.whole.remove(stream)
                self.processed.add(stream)
                if self.server.h2.local_flow_control_window(stream) > 100:
                    answer(self.server, stream, b"%d" % stream)
                    self.answered[stream] = b"%d" % stream
            self.server.say()
            if not self.server.out:
                break
            self.landed += self.client.receive(self.server.out)
            self.server.out = b""
        assert self.client.error == ""
        self.landed += self.client.lose("the end")


STEPS = [
    *[Story.start] * 4,
    *[Story.client_speaks] * 4,
    *[Story.server_speaks] * 4,
    *[Story.server_answers] * 4,
    Story.server_resets,
    Story.server_changes_its_mind,
    Story.server_reads,
    Story.server_says_something_else,
    Story.client_gives_up,
]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_each_request_lands_once_whatever_the_server_does(data: st.DataObject) -> None:
    story = Story(data.draw)
    steps = data.draw(st.lists(st.sampled_from([*STEPS, Story.server_says_goodbye]), min_size=5, max_size=60))
    for step in steps:
        step(story)
    story.end()
    assert sorted(one.request for one in story.landed) == sorted(story.sent)
    for one in story.landed:
        if one.error:
            assert not (one.is_untouched and one.request in story.processed)
        else:
            assert (one.status, one.retry_after) in ((200, str(one.request)), (200, ""))
            assert one.body == story.answered[one.request]
    for stream, fields in story.server.headers.items():
        assert fields == list(story.sent[stream][0])
    for stream in story.processed:
        assert story.server.bodies[stream] == story.sent[stream][1]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_without_resets_and_goodbyes_each_request_is_answered(data: st.DataObject) -> None:
    story = Story(data.draw)
    kind = [step for step in STEPS if step not in (Story.server_resets, Story.client_gives_up)]
    for step in data.draw(st.lists(st.sampled_from(kind), min_size=5, max_size=60)):
        step(story)
    story.end()
    assert Counter((one.request, one.status) for one in story.landed) == Counter(
        (number, 200) for number in story.sent if number in story.answered
    )
    assert story.sent.keys() == story.answered.keys()


FRAMES = st.builds(
    lambda kind, flags, number, payload: (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + payload
    ),
    st.integers(0, 12),
    st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 4, 5, 8])),
    st.sampled_from([0, 1, 2, 3, 5, 7, 9, 2**31 - 1, 2**32 - 1]),
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([4, 5, 6, 8, 12]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
        st.just(Encoder().encode([(":status", "200")])),
    ),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(FRAMES, FRAMES, st.binary(max_size=30)), max_size=20), st.integers(1, 100))
def test_garbage_ends_the_connection_at_worst(pieces: list[bytes], size: int) -> None:
    client, _ = connected()
    check_nonsense(client, b"".join(pieces), size)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_so_do_bytes_that_changed_on_the_way(data: st.DataObject) -> None:
    client, server = connected()
    for number in (1, 3, 5):
        client.start(headers(), b"body", number, 0.0)
    server.receive(client.take())
    for number in (1, 3, 5):
        answer(server, number)
    server.h2.ping(b"12345678")
    server.say()
    changed = bytearray(server.out)
    for at in data.draw(st.lists(st.integers(0, len(changed) - 1), min_size=1, max_size=5)):
        changed[at] = data.draw(st.integers(0, 255))
    check_nonsense(client, bytes(changed), data.draw(st.integers(1, 100)), is_started=True)


def check_nonsense(client: Connection, said: bytes, size: int, *, is_started: bool = False) -> None:
    if not is_started:
        for number in (1, 3, 5):
            client.start(headers(), b"body", number, 0.0)
    landed = [one for at in range(0, len(said), size) for one in client.receive(said[at : at + size])]
    if client.error:
        assert client.is_over
        assert client.free == 0
    client.take()
    landed += client.expire(1.0)
    landed += client.lose("the end")
    assert sorted(one.request for one in landed) == [1, 3, 5]


def test_from_the_second_request_the_headers_are_a_few_bytes() -> None:
    client, server = connected()
    sizes = []
    for number in range(4):
        client.start(headers("x" * 1024 if number < 2 else "y" * 1024), b"", number, 0.0)
        data = client.take()
        sizes.append(len(data))
        server.receive(data)
    assert sizes[0] > 500
    assert sizes[2] > 500
    assert sizes[1] == sizes[3] == 9 + 6 + 9
    assert [dict(fields)[b"authorization"][7:8] for fields in server.headers.values()] == [
        b"x",
        b"x",
        b"y",
        b"y",
    ]


def test_a_table_that_is_too_small_for_the_token_is_not_used() -> None:
    client, server = connected()
    server.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 1000})
    talk(client, server)
    for number in range(3):
        client.start(headers(), b"", number, 0.0)
    talk(client, server)
    assert server.h2.decoder.header_table_size == 1000
    assert list(server.h2.decoder.header_table.dynamic_entries) == []
    assert [fields == list(headers()) for fields in server.headers.values()] == [True] * 3


def test_what_starts_in_one_turn_is_one_piece() -> None:
    client, _ = connected()
    for number in range(100):
        client.start(headers(), b"x" * 400, number, 0.0)
    assert client.free == 0
    assert len(client.take()) < 100 * (400 + 24) + 1100
    assert client.take() == b""


@pytest.mark.parametrize("size", [LARGEST_BODY - 1, LARGEST_BODY, LARGEST_BODY + 1])
def test_of_an_answer_that_is_too_large_the_beginning_is_kept(size: int) -> None:
    client, server = connected()
    client.start(headers(), b"", "large", 0.0)
    talk(client, server)
    server.h2.send_headers(1, [(":status", "200")])
    left = min(size, LARGEST_BODY)
    while left:
        piece = min(left, 16_384)
        server.h2.send_data(1, b"x" * piece, end_stream=size == LARGEST_BODY - 1 and piece == left)
        left -= piece
    (landed,) = talk(client, server)
    assert (landed.status, len(landed.body)) == (200, min(size, LARGEST_BODY))
    assert client.streams == 0
    assert client.error == ""


def test_a_request_of_which_a_part_never_left_is_untouched() -> None:
    client, _ = connected()
    client.start(headers(), b"x" * 65_000, "whole", 0.0)
    client.start(headers(), b"x" * 65_000, "part", 0.0)
    landed = {one.request: one.is_untouched for one in client.lose("gone")}
    assert landed == {"whole": False, "part": True}


def test_an_answer_may_come_before_the_request_has_ended() -> None:
    client, server = connected()
    client.start(headers(), b"x" * 100_000, "large", 0.0)
    server.receive(client.take())
    answer(server, 1, b"enough")
    (landed,) = talk(client, server)
    assert (landed.status, landed.body) == (200, b"enough")
    server.h2.increment_flow_control_window(100_000)
    assert talk(client, server) == []


def test_what_is_older_is_given_up_and_the_server_is_told() -> None:
    client, server = connected()
    for number in range(4):
        client.start(headers(), b"x", number, float(number))
    talk(client, server)
    assert [(one.request, one.error) for one in client.expire(2.0)] == [(0, "time-out"), (1, "time-out")]
    assert client.oldest == 2.0
    talk(client, server)
    assert server.whole == [5, 7]
    assert client.free == 98


def test_when_the_numbers_of_streams_end_so_does_the_connection() -> None:
    client, server = connected()
    client._next = 2**31 - 1
    client.start(headers(), b"x", "last", 0.0)
    assert (client.free, client.is_over) == (0, False)
    server.receive(client.take())
    answer(server, 2**31 - 1)
    assert [one.status for one in talk(client, server)] == [200]
    assert client.is_over


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        PingFrame(0, opaque_data=b"12345678").serialize(),
        SettingsFrame(0, flags=["ACK"]).serialize(),
    ],
)
def test_a_server_begins_with_its_settings(said: bytes) -> None:
    client = Connection()
    assert client.receive(said) == []
    assert client.error
    assert GoAwayFrame(0).type in (client.take()[-17 + 3],)


@pytest.mark.parametrize(
    "frames",
    [
        [DataFrame(2, b"x")],
        [DataFrame(99, b"x")],
        [DataFrame(0x7FFFFFFF, b"x")],
        [PushPromiseFrame(1, promised_stream_id=2, data=b"\x88", flags=["END_HEADERS"])],
        [HeadersFrame(1, b"\x88"), DataFrame(1, b"x")],
        [HeadersFrame(1, b"\x88"), ContinuationFrame(3, b"\x88", flags=["END_HEADERS"])],
        [ContinuationFrame(1, b"\x88", flags=["END_HEADERS"])],
        [HeadersFrame(1, b"\xbe", flags=["END_HEADERS"])],  # an entry of a table that has no room
        [HeadersFrame(1, b"\x3f\xe1\x1f\x88", flags=["END_HEADERS"])],  # a larger table
        [HeadersFrame(1, b"")] + [ContinuationFrame(1, b"x" * 16_000)] * 2,
        [HeadersFrame(1, b""), ContinuationFrame(1, b"")],
        [WindowUpdateFrame(0, window_increment=2**31 - 1)],
        [PingFrame(0, opaque_data=b"12345678")] * 5000,
        [SettingsFrame(0, settings={3: 1})] * 9000,
        [SettingsFrame(0, settings={4: 2**31})],
        [SettingsFrame(0, settings={5: 1})],
        [DataFrame(1, b"x" * 20_000)],
    ],
)
def test_what_breaks_the_protocol_ends_the_connection(frames: list[Frame]) -> None:
    client, _ = connected()
    for number in (1, 3):
        client.start(headers(), b"x", number, 0.0)
    landed = client.receive(b"".join(frame.serialize() for frame in frames))
    assert client.error
    assert [(one.request, one.is_untouched, one.status) for one in landed] == [(1, False, 0), (3, False, 0)]
    assert client.receive(b"whatever") == []


@pytest.mark.parametrize(
    "frames",
    [
        [DataFrame(1, b"x")],
        [HeadersFrame(1, b"\x88", flags=["END_HEADERS"])] * 2,
        [HeadersFrame(1, b"\x0f\x0d\x011", flags=["END_HEADERS"])],
        [HeadersFrame(1, b"\x08\x03103", flags=["END_HEADERS", "END_STREAM"])],
        [RstStreamFrame(1, error_code=2)],
        [HeadersFrame(1, b"\x88", flags=["END_HEADERS"]), RstStreamFrame(1, error_code=8)],
    ],
)
def test_what_breaks_one_stream_ends_only_that(frames: list[Frame]) -> None:
    client, _ = connected()
    for number in (1, 3):
        client.start(headers(), b"x", number, 0.0)
    (landed,) = client.receive(b"".join(frame.serialize() for frame in frames))
    assert (landed.request, bool(landed.error), landed.is_untouched) == (1, True, False)
    assert client.error == ""
    assert client.streams == 1


def test_a_goodbye_ends_what_comes_after_the_stream_it_names_and_nothing_else() -> None:
    client, server = connected()
    for number in (1, 3, 5):
        client.start(headers(), b"x", number, 0.0)
    server.receive(client.take())
    answer(server, 3)

    assert client.receive(GoAwayFrame(0, last_stream_id=2**31 - 1).serialize()) == []
    landed = client.receive(GoAwayFrame(0, last_stream_id=3).serialize())
    assert [(one.request, one.is_untouched) for one in landed] == [(5, True)]
    assert (client.free, client.is_over) == (0, False)
    assert [one.status for one in client.receive(b"".join(server.frames()))] == [200]
    assert [one.is_untouched for one in client.lose("gone")] == [False]
