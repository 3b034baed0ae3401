"""The HTTP/2 client of the transport against drawn sequences of events and against damaged bytes."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifications.tests.http2_peer import answer, connected, headers
from notifications.transports.header_blocks import Headers
from notifications.transports.http2 import Connection, FinishedRequest


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
        self.finished: list[FinishedRequest] = []
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
        self.finished += self.client.receive(self.server.out[:size])
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
        self.finished += self.client.expire(self.pick(0, 1, self.now / 2))

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
            self.finished += self.client.receive(self.server.out)
            self.server.out = b""
        assert self.client.error == ""
        self.finished += self.client.lose("the end")


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
    assert sorted(one.request for one in story.finished) == sorted(story.sent)
    for one in story.finished:
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
    assert Counter((one.request, one.status) for one in story.finished) == Counter(
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
    finished = [one for at in range(0, len(said), size) for one in client.receive(said[at : at + size])]
    if client.error:
        assert client.is_over
        assert client.free == 0
    client.take()
    finished += client.expire(1.0)
    finished += client.lose("the end")
    assert sorted(one.request for one in finished) == [1, 3, 5]
