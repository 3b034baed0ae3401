"""The client's side of one HTTP/2 connection (RFC 9113). Sans-I/O: feed bytes, get completed requests.

It sends one kind of request: POST with a complete body. Its tests compare it with the `h2` library.
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
    is_untouched: bool = False  # the peer did not get all of it, or answered that it did nothing


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

    is_ready: bool = False  # the peer has sent its limits; nothing starts before
    is_leaving: bool = False  # takes no more requests
    error: str = ""  # why it cannot be used any more
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
    _open_block: tuple[int, int, bytes] | None = None  # stream, flags and the headers so far

    def __post_init__(self) -> None:
        # No header table: so each answer's headers can be decoded alone and the result cached. No server
        # push.
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
        """No answer is expected any more: send the rest and close the connection."""
        return bool(self.error) or (self.is_leaving and not self._streams)

    @property
    def oldest(self) -> float | None:
        """When the request that has waited longest was started."""
        return next(iter(self._streams.values())).started if self._streams else None

    def start(self, headers: Headers, body: bytes, request: Any, now: float) -> None:
        """Sends a request with the next `take`, as far as the peer's windows allow. Needs a `free` stream."""
        number = self._next
        self._next += 2
        # The numbers of streams are used up: this connection takes no more requests.
        self.is_leaving = self.is_leaving or self._next > LARGEST_STREAM
        stream = self._streams[number] = _Stream(request, now)
        # Nearly every request is one frame of a few bytes and one with the body, which takes 2 us.
        if headers is self._headers:
            self._out.append(self._head + _number.pack(number) + self._block)
        else:
            # The first request with these headers enters them into the peer's table.
            first, self._block = encode(headers, self._table_size, is_renewed=self._is_renewed)
            self._headers, self._is_renewed = headers, True
            kind = HEADERS
            while len(first) > self._frame_size:
                self._put(kind, 0, number, first[: self._frame_size])
                kind, first = CONTINUATION, first[self._frame_size :]
            self._put(kind, END_HEADERS, number, first)
            if len(self._block) > self._frame_size:
                # The short way above sends one frame. So these headers are encoded again for each request.
                self._headers = None
            size = len(self._block)
            self._head = _frame.pack(size >> 8, size & 0xFF, HEADERS, END_HEADERS, 0)[:5]
        size = len(body)
        if size <= self._window and size <= self._first_window and size <= self._frame_size:
            self._window -= size
            self._out.append(_frame.pack(size >> 8, size & 0xFF, DATA, END_STREAM, number) + body)
        else:
            stream.unsent, stream.window = body, self._first_window
            self._held[number] = stream
            self._send_held(number, stream)

    def take(self) -> bytes:
        """Returns the bytes to send, once."""
        out, self._acknowledgements = b"".join(self._out), 0
        self._out.clear()
        return out

    def receive(self, data: bytes) -> list[FinishedRequest]:
        """Reads all complete frames and returns the requests that they finish.

        Never raises: an error of the peer ends the connection and all its requests.
        """
        if self.error:
            return []
        try:
            data = self._received + data if self._received else data
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
                number &= 0x7FFFFFFF  # the first bit is reserved
                if not self.is_ready and (kind != SETTINGS or flags & ACK):
                    raise _ConnectionError(PROTOCOL_ERROR, "no settings")
                # Headers change the state of the connection, so no other frame may stand between their parts.
                if self._open_block is not None and (kind != CONTINUATION or number != self._open_block[0]):
                    raise _ConnectionError(PROTOCOL_ERROR, "headers interrupted")
                # Nearly all frames are HEADERS and DATA of an answer, which take 3 us together.
                if kind == DATA:
                    self._data(number, flags, payload)
                elif kind == HEADERS:
                    self._start_of_headers(number, flags, payload)
                elif kind == CONTINUATION:
                    self._more_headers(flags, payload)
                elif kind in (RST_STREAM, WINDOW_UPDATE, SETTINGS, PING, GOAWAY, PUSH_PROMISE):
                    self._control(kind, flags, number, payload)
                # PRIORITY, and kinds that the RFC does not define, are ignored, as it demands.
            self._received = data[at:]
        except _ConnectionError as error:
            self._put(GOAWAY, 0, 0, _goodbye.pack(0, error.code))
            self._fail(str(error))
        finished, self._finished = self._finished, []
        return finished

    def expire(self, before: float) -> list[FinishedRequest]:
        """Fails the requests that were started before that moment (monotonic)."""
        # The oldest stream comes first, so the first young one ends the search.
        for number, stream in list(self._streams.items()):
            if stream.started >= before:
                break
            self._cut(number, "time-out", reset=CANCEL)
        finished, self._finished = self._finished, []
        return finished

    def lose(self, error: str) -> list[FinishedRequest]:
        """Fails all requests, because the connection is closed or does not answer."""
        self._fail(error)
        finished, self._finished = self._finished, []
        return finished

    def _put(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._out.append(_frame.pack(size >> 8, size & 0xFF, kind, flags, number) + payload)

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
        # The peer does not act on a message without its end, so this one can be sent again.
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
        # The answer is complete, or as long as it may be. It may come before the peer has read the whole
        # body: then the rest is not sent, and a reset makes the peer free the stream.
        del self._streams[number]
        if self._held.pop(number, None) is not None or not is_whole:
            self._put(RST_STREAM, 0, number, _number.pack(CANCEL))
        self._finished.append(
            FinishedRequest(stream.request, stream.status, stream.retry_after, bytes(stream.body))
        )

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == PUSH_PROMISE:
            raise _ConnectionError(PROTOCOL_ERROR, "pushed")
        # A WINDOW_UPDATE may be about a stream or about the connection, which is stream 0.
        if (number != 0) != (kind == RST_STREAM) and kind != WINDOW_UPDATE:
            raise _ConnectionError(PROTOCOL_ERROR, "frame of the wrong stream")
        try:
            if kind == SETTINGS:
                self._settings(flags, payload)
            elif kind == PING:
                if len(payload) != 8:
                    raise _ConnectionError(FRAME_SIZE_ERROR, "frame of the wrong size")
                if not flags & ACK:
                    self._acknowledge(PING, payload)
            elif kind == GOAWAY:
                # The peer has not acted on requests after `last`, so they can be sent again. It may still
                # answer those before.
                last, code = _goodbye.unpack_from(payload)
                self.is_leaving = True
                for later in [later for later in self._streams if later > last & LARGEST_STREAM]:
                    self._cut(later, f"goodbye ({code})", is_untouched=True)
            elif kind == WINDOW_UPDATE:
                self._widen(number, _number.unpack(payload)[0] & LARGEST_WINDOW)
            else:
                (code,) = _number.unpack(payload)
                if self._stream(number) is not None:
                    self._cut(number, f"stream reset ({code})", is_untouched=code == REFUSED_STREAM)
        except StructError:
            raise _ConnectionError(FRAME_SIZE_ERROR, "frame of the wrong size") from None

    def _stream(self, number: int) -> _Stream | None:
        """Returns None if the request has finished: frames on their way to it are ignored."""
        stream = self._streams.get(number)
        if stream is None and (number >= self._next or not number & 1):
            raise _ConnectionError(PROTOCOL_ERROR, "frame of a stream that never was")
        return stream

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        # Padding and data of finished streams use up our window as well. Half of it is given back at a time.
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
            # An answer of FCM is much shorter. The status is worth more than the rest of the body.
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
            self._stream(number)  # raises if there never was such a stream
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
        # Any number of 1xx, then the answer, then perhaps trailers, which have no status and end the answer.
        if stream.status:
            is_in_place = is_end and not status
        else:
            is_in_place = 200 <= status < 600 or (100 <= status < 200 and not is_end)
        if not is_in_place:
            self._cut(number, "malformed answer", reset=PROTOCOL_ERROR)
            return
        if status >= 200:
            stream.status, stream.retry_after = status, retry_after
        if is_end:
            self._finish(number, stream)

    def _acknowledge(self, kind: int, payload: bytes) -> None:
        self._put(kind, ACK, 0, payload)
        # A peer that sends PING or SETTINGS and reads no answer would fill our memory.
        self._acknowledgements += 9 + len(payload)
        if self._acknowledgements > MOST_ACKNOWLEDGEMENTS:
            raise _ConnectionError(ENHANCE_YOUR_CALM, "asks too much")

    def _widen(self, number: int, size: int) -> None:
        stream = self._stream(number) if number else None
        if number and stream is None:
            return
        # The RFC makes an impossible window an error of the stream or the connection that it belongs to.
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
            if name == 0x1 and min(value, TABLE_SIZE) != self._table_size:
                # The peer's table is emptied: the next request enters its headers again.
                self._table_size = min(value, TABLE_SIZE)
                self._headers, self._is_renewed = None, True
            elif name == 0x3:
                self._most_streams = value
            elif name == 0x4:
                # A window may become negative: then as much has to be given back before anything is sent.
                for stream in self._held.values():
                    stream.window += value - self._first_window
                if value > LARGEST_WINDOW or any(s.window > LARGEST_WINDOW for s in self._held.values()):
                    raise _ConnectionError(FLOW_CONTROL_ERROR, "impossible window")
                self._first_window = value
            elif name == 0x5:
                if not 16_384 <= value < 2**24:
                    raise _ConnectionError(PROTOCOL_ERROR, "impossible frame size")
                self._frame_size = value
        self.is_ready = True
        self._acknowledge(SETTINGS, b"")
        self._send_all_held()


def _without_padding(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise _ConnectionError(PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]
