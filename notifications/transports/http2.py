"""The client's side of one HTTP/2 connection (RFC 9113). Sans-I/O: feed bytes, get completed requests.

It knows one kind of request: POST with a body that is there. The oracle of its tests is the `h2` library.
"""

from dataclasses import dataclass, field
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from typing import Any, NamedTuple

from hpack import HPACKError

from notifications.transports.header_blocks import LARGEST_LIST, TABLE_SIZE, Headers, decode, encode

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, WITH_PRIORITY = 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR = 0x0, 0x1, 0x3, 0x6
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 0x7, 0x8, 0x9, 0xB

LARGEST_FRAME = 16_384  # that we take
LARGEST_BODY = 65_536  # of an answer: the window of a stream, which is never enlarged
OUR_WINDOW = 8 * 1024 * 1024  # of the connection: a hundred answers, each as large as it may be
LARGEST_WINDOW = 2**31 - 1
LARGEST_STREAM = 2**31 - 1
MOST_ACKNOWLEDGEMENTS = 65_536  # bytes that a peer who asks without reading may make us keep

_frame = Struct(">HBBBL")
_setting = Struct(">HL")
_number = Struct(">L")
_goodbye = Struct(">LL")


class FinishedRequest(NamedTuple):
    """The end of a request: an answer, or the reason why there is none."""

    request: Any
    status: int = 0
    retry_after: str = ""
    body: bytes = b""
    error: str = ""
    is_untouched: bool = False  # the peer never saw all of it, or said that it did nothing


class _ConnectionError(Exception):
    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(eq=False, slots=True)
class _Stream:
    request: Any
    started: float
    status: int = 0
    retry_after: str = ""
    body: bytearray = field(default_factory=bytearray)
    room: int = LARGEST_BODY
    unsent: bytes = b""
    window: int = 0  # of the peer, kept while something is unsent


@dataclass(eq=False, slots=True)
class Connection:
    """Every request given to `start` ends exactly once: by `receive`, `expire` or `lose`."""

    is_ready: bool = False  # the peer has told its limits; nothing starts before
    is_leaving: bool = False  # takes no more requests
    error: str = ""  # it is beyond repair
    _streams: dict[int, _Stream] = field(default_factory=dict)  # oldest first
    _next: int = 1
    _finished: list[FinishedRequest] = field(default_factory=list)
    _out: list[bytes] = field(default_factory=list)
    _acknowledgements: int = 0
    _received: bytes = b""
    _taken: int = 0  # of our window
    _headers: Headers | None = None  # what the steady block says
    _is_renewed: bool = False
    _head: bytes = b""  # of the steady HEADERS frame, without the stream's number
    _block: bytes = b""
    _table_size: int = TABLE_SIZE
    _most_streams: int = 100
    _window: int = 65_535
    _first_window: int = 65_535
    _frame_size: int = 16_384
    _held: dict[int, _Stream] = field(default_factory=dict)  # whose body does not fit into the peer's windows
    _open_block: tuple[int, int, bytes] | None = None  # stream, flags and what there is of its headers

    def __post_init__(self) -> None:
        ours = ((0x1, 0), (0x2, 0), (0x4, LARGEST_BODY), (0x5, LARGEST_FRAME), (0x6, LARGEST_LIST))
        self._out.append(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._put(SETTINGS, 0, 0, b"".join(_setting.pack(*setting) for setting in ours))
        self._put(WINDOW_UPDATE, 0, 0, _number.pack(OUR_WINDOW - 65_535))

    @property
    def streams(self) -> int:
        return len(self._streams)

    @property
    def free(self) -> int:
        """How many more requests may start now."""
        if not self.is_ready or self.is_leaving:
            return 0
        return self._most_streams - len(self._streams)

    @property
    def is_over(self) -> bool:
        """Nothing can come of it any more: send what is left and hang up."""
        return bool(self.error) or (self.is_leaving and not self._streams)

    @property
    def oldest(self) -> float | None:
        """When the request that has waited longest was started."""
        return next(iter(self._streams.values())).started if self._streams else None

    def start(self, headers: Headers, body: bytes, request: Any, now: float) -> None:
        """Sends a request with the next `take`, as far as the peer's windows allow. Needs a `free` stream.

        One frame of a few bytes and one with the body, 2 us, is what nearly every request is.
        """
        number = self._next
        self._next += 2
        self.is_leaving = self.is_leaving or self._next > LARGEST_STREAM
        stream = self._streams[number] = _Stream(request, now)
        if headers is self._headers:
            self._out.append(self._head + _number.pack(number) + self._block)
        else:
            self._introduce(headers, number)
        size = len(body)
        if size <= self._window and size <= self._first_window and size <= self._frame_size:
            self._window -= size
            self._out.append(_frame.pack(size >> 8, size & 0xFF, DATA, END_STREAM, number) + body)
        else:
            stream.unsent, stream.window = body, self._first_window
            self._held[number] = stream
            self._send_held(number, stream)

    def take(self) -> bytes:
        """What is to be sent."""
        out, self._acknowledgements = b"".join(self._out), 0
        self._out.clear()
        return out

    def receive(self, data: bytes) -> list[FinishedRequest]:
        """Never raises: what a peer does wrong ends the connection, and with it what is in flight."""
        if not self.error:
            try:
                self._read(self._received + data if self._received else data)
            except _ConnectionError as error:
                self._put(GOAWAY, 0, 0, _goodbye.pack(0, error.code))
                self._fail(str(error))
        finished, self._finished = self._finished, []
        return finished

    def expire(self, before: float) -> list[FinishedRequest]:
        """Gives up the requests that were started before that moment."""
        for number, stream in list(self._streams.items()):
            if stream.started >= before:
                break
            self._cut(number, "time-out", reset=CANCEL)
        finished, self._finished = self._finished, []
        return finished

    def lose(self, error: str) -> list[FinishedRequest]:
        """The connection is gone."""
        self._fail(error)
        finished, self._finished = self._finished, []
        return finished

    def _put(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._out.append(_frame.pack(size >> 8, size & 0xFF, kind, flags, number) + payload)

    def _introduce(self, headers: Headers, number: int) -> None:
        first, self._block = encode(headers, self._table_size, is_renewed=self._is_renewed)
        self._headers, self._is_renewed = headers, True
        kind = HEADERS
        while len(first) > self._frame_size:
            self._put(kind, 0, number, first[: self._frame_size])
            kind, first = CONTINUATION, first[self._frame_size :]
        self._put(kind, END_HEADERS, number, first)
        if len(self._block) > self._frame_size:
            self._headers = None  # never steady
        size = len(self._block)
        self._head = _frame.pack(size >> 8, size & 0xFF, HEADERS, END_HEADERS, 0)[:5]

    def _send_held(self, number: int, stream: _Stream) -> None:
        while stream.unsent:
            size = min(len(stream.unsent), self._window, stream.window, self._frame_size)
            if size <= 0:
                return
            piece, stream.unsent = stream.unsent[:size], stream.unsent[size:]
            self._window -= size
            stream.window -= size
            self._put(DATA, 0 if stream.unsent else END_STREAM, number, piece)
        del self._held[number]

    def _send_all_held(self) -> None:
        for number, stream in list(self._held.items()):
            if self._window <= 0:
                return
            self._send_held(number, stream)

    def _cut(self, number: int, error: str, *, reset: int | None = None, is_untouched: bool = False) -> None:
        stream = self._streams.pop(number)
        # The peer does not act on a message without its end.
        is_untouched = self._held.pop(number, None) is not None or is_untouched
        self._finished.append(FinishedRequest(stream.request, error=error, is_untouched=is_untouched))
        if reset is not None:
            self._put(RST_STREAM, 0, number, _number.pack(reset))

    def _fail(self, error: str) -> None:
        self.error = self.error or error
        self.is_leaving = True
        for number in list(self._streams):
            self._cut(number, error)

    def _finish(self, number: int, stream: _Stream, *, is_whole: bool = True) -> None:
        # The answer is complete, or as long as it may be. The peer may not have read the whole body yet.
        del self._streams[number]
        if self._held.pop(number, None) is not None or not is_whole:
            self._put(RST_STREAM, 0, number, _number.pack(CANCEL))
        self._finished.append(
            FinishedRequest(stream.request, stream.status, stream.retry_after, bytes(stream.body))
        )

    def _read(self, data: bytes) -> None:
        """All whole frames. HEADERS and DATA of an answer, 3 us together, are what nearly all are."""
        at, end = 0, len(data)
        while end - at >= 9:
            high, low, kind, flags, number = _frame.unpack_from(data, at)
            size = high << 8 | low
            if size > LARGEST_FRAME:
                raise _ConnectionError(FRAME_SIZE_ERROR, "frame too large")
            if at + 9 + size > end:
                break
            payload = data[at + 9 : at + 9 + size]
            at += 9 + size
            number &= 0x7FFFFFFF
            if not self.is_ready and (kind != SETTINGS or flags & ACK):
                raise _ConnectionError(PROTOCOL_ERROR, "no settings")
            if self._open_block is not None and (kind != CONTINUATION or number != self._open_block[0]):
                raise _ConnectionError(PROTOCOL_ERROR, "headers interrupted")
            if kind == DATA:
                self._data(number, flags, payload)
            elif kind == HEADERS:
                self._start_of_headers(number, flags, payload)
            else:
                self._other(kind, flags, number, payload)
        self._received = data[at:]

    def _other(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == CONTINUATION:
            self._more_headers(flags, payload)
        elif kind == PUSH_PROMISE:
            raise _ConnectionError(PROTOCOL_ERROR, "pushed")
        elif kind in (RST_STREAM, WINDOW_UPDATE, SETTINGS, PING, GOAWAY):
            self._control(kind, flags, number, payload)

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if (number != 0) != (kind == RST_STREAM) and kind != WINDOW_UPDATE:
            raise _ConnectionError(PROTOCOL_ERROR, "frame of the wrong stream")
        try:
            if kind == SETTINGS:
                self._settings(flags, payload)
            elif kind == PING:
                self._ping(flags, payload)
            elif kind == GOAWAY:
                self._leave(*_goodbye.unpack_from(payload))
            elif kind == WINDOW_UPDATE:
                self._widen(number, _number.unpack(payload)[0] & LARGEST_WINDOW)
            else:
                self._reset(number, _number.unpack(payload)[0])
        except StructError:
            raise _ConnectionError(FRAME_SIZE_ERROR, "frame of the wrong size") from None

    def _stream(self, number: int) -> _Stream | None:
        """None if we are done with it."""
        stream = self._streams.get(number)
        if stream is None and (number >= self._next or not number & 1):
            raise _ConnectionError(PROTOCOL_ERROR, "frame of a stream that never was")
        return stream

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        self._taken += len(payload)
        if self._taken > OUR_WINDOW // 2:
            self._put(WINDOW_UPDATE, 0, 0, _number.pack(self._taken))
            self._taken = 0
        stream = self._stream(number)
        if stream is None:
            return
        stream.room -= len(payload)
        if flags & PADDED:
            payload = _without_padding(payload)
        if not stream.status or stream.room < 0:
            self._cut(number, "malformed answer", reset=PROTOCOL_ERROR)
            return
        stream.body += payload
        if flags & END_STREAM:
            self._finish(number, stream)
        elif stream.room == 0:
            self._finish(number, stream, is_whole=False)

    def _start_of_headers(self, number: int, flags: int, payload: bytes) -> None:
        if flags & PADDED:
            payload = _without_padding(payload)
        if flags & WITH_PRIORITY:
            if len(payload) < 5:
                raise _ConnectionError(FRAME_SIZE_ERROR, "frame of the wrong size")
            payload = payload[5:]
        if flags & END_HEADERS:
            self._answer(number, flags, payload)
        else:
            self._stream(number)
            self._open_block = number, flags, payload

    def _more_headers(self, flags: int, payload: bytes) -> None:
        if self._open_block is None:
            raise _ConnectionError(PROTOCOL_ERROR, "headers continued that never began")
        number, first_flags, block = self._open_block
        # An empty CONTINUATION makes no progress, so it counts as well.
        block += payload
        if len(block) > LARGEST_LIST or not (payload or flags & END_HEADERS):
            raise _ConnectionError(ENHANCE_YOUR_CALM, "headers too large")
        self._open_block = None if flags & END_HEADERS else (number, first_flags, block)
        if flags & END_HEADERS:
            self._answer(number, first_flags, block)

    def _answer(self, number: int, flags: int, block: bytes) -> None:
        stream = self._stream(number)
        if stream is None:
            return
        try:
            status, retry_after = decode(block)
        except HPACKError:
            raise _ConnectionError(COMPRESSION_ERROR, "headers cannot be read") from None
        is_end = bool(flags & END_STREAM)
        if not _is_in_place(status, is_end, is_trailer=stream.status != 0):
            self._cut(number, "malformed answer", reset=PROTOCOL_ERROR)
            return
        if status >= 200:
            stream.status, stream.retry_after = status, retry_after
        if is_end:
            self._finish(number, stream)

    def _reset(self, number: int, code: int) -> None:
        if self._stream(number) is not None:
            self._cut(number, f"stream reset ({code})", is_untouched=code == REFUSED_STREAM)

    def _leave(self, last: int, code: int) -> None:
        self.is_leaving = True
        for number in [number for number in self._streams if number > last & LARGEST_STREAM]:
            self._cut(number, f"goodbye ({code})", is_untouched=True)

    def _ping(self, flags: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise _ConnectionError(FRAME_SIZE_ERROR, "frame of the wrong size")
        if not flags & ACK:
            self._acknowledge(PING, payload)

    def _acknowledge(self, kind: int, payload: bytes) -> None:
        self._put(kind, ACK, 0, payload)
        self._acknowledgements += 9 + len(payload)
        if self._acknowledgements > MOST_ACKNOWLEDGEMENTS:
            raise _ConnectionError(ENHANCE_YOUR_CALM, "asks too much")

    def _widen(self, number: int, size: int) -> None:
        stream = self._stream(number) if number else None
        if number and stream is None:
            return
        if size == 0 or (self._window if stream is None else stream.window) + size > LARGEST_WINDOW:
            if stream is None:
                raise _ConnectionError(FLOW_CONTROL_ERROR, "impossible window")
            self._cut(number, "impossible window", reset=FLOW_CONTROL_ERROR)
        elif stream is None:
            self._window += size
            self._send_all_held()
        elif stream.unsent:
            stream.window += size
            self._send_held(number, stream)

    def _settings(self, flags: int, payload: bytes) -> None:
        if flags & ACK:
            return
        if len(payload) % 6:
            raise _ConnectionError(FRAME_SIZE_ERROR, "frame of the wrong size")
        for name, value in _setting.iter_unpack(payload):
            self._set(name, value)
        self.is_ready = True
        self._acknowledge(SETTINGS, b"")
        self._send_all_held()

    def _set(self, name: int, value: int) -> None:
        if name == 0x1 and min(value, TABLE_SIZE) != self._table_size:
            self._table_size = min(value, TABLE_SIZE)
            self._headers, self._is_renewed = None, True
        elif name == 0x3:
            self._most_streams = value
        elif name == 0x4:
            self._resize_windows(value)
        elif name == 0x5:
            if not 16_384 <= value < 2**24:
                raise _ConnectionError(PROTOCOL_ERROR, "impossible frame size")
            self._frame_size = value

    def _resize_windows(self, size: int) -> None:
        """A window may become negative: then as much has to be given back before anything is sent."""
        for stream in self._held.values():
            stream.window += size - self._first_window
            if stream.window > LARGEST_WINDOW:
                raise _ConnectionError(FLOW_CONTROL_ERROR, "impossible window")
        if size > LARGEST_WINDOW:
            raise _ConnectionError(FLOW_CONTROL_ERROR, "impossible window")
        self._first_window = size


def _is_in_place(status: int, is_end: bool, *, is_trailer: bool) -> bool:
    """Any number of 1xx, then the answer, then perhaps trailers, which end it."""
    if is_trailer:
        return is_end and not status
    return 200 <= status < 600 or (100 <= status < 200 and not is_end)


def _without_padding(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise _ConnectionError(PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]
