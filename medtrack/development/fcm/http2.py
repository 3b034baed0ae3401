"""HTTP/2: many requests at a time on a connection, with flow control in both directions."""

import asyncio
import functools
from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hpack import hpack
from hpack.huffman_table import decode_huffman

from medtrack.development.fcm.exchanges import Answer, Exchange, Request

Handle = Callable[[Request, Exchange], None]

MAX_CONCURRENT_STREAMS = 100
_WINDOW_BYTES = 1 << 20
# Not validated: that matters for proxies. Here a client with wrong headers receives a 404 or a 401.
_CONFIGURATION = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)

# Most clients send the access token, about 1 kB, as a literal with every request. Decoding it in Python takes
# longer than everything else together, so the results are cached.
_decode_huffman = functools.lru_cache(256)(decode_huffman)
vars(hpack)["decode_huffman"] = lambda data: _decode_huffman(bytes(data))


class Http2Session:
    def __init__(self, transport: asyncio.Transport, handle: Handle) -> None:
        self._connection = _Connection(_CONFIGURATION)
        self._transport = transport
        self._handle = handle
        self._exchanges: dict[int, _Http2Exchange] = {}
        self._unsent: dict[int, bytes] = {}
        self._flush_is_due = False
        self._connection.initiate_connection()
        self._connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES})
        self._connection.increment_flow_control_window(16 * _WINDOW_BYTES)
        self._flush()

    def receive(self, data: bytes) -> None:
        try:
            for event in self._connection.receive_data(data):
                self._process(event)
        except ProtocolError:
            self.shut_down()
        self._flush()

    def _process(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=stream_id):
                if len(self._exchanges) < MAX_CONCURRENT_STREAMS:
                    self._exchanges[stream_id] = _Http2Exchange(self, stream_id, dict(event.headers))
                else:
                    self._connection.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            case DataReceived(stream_id=stream_id):
                # Acknowledged also when the stream is gone: the data counts for the connection's window.
                self._connection.acknowledge_received_data(event.flow_controlled_length, stream_id)
                if (exchange := self._exchanges.get(stream_id)) and event.data:
                    exchange.body.append(event.data)
            case StreamEnded(stream_id=stream_id):
                if exchange := self._exchanges.get(stream_id):
                    self._handle(exchange.request(), exchange)
            case StreamReset(stream_id=stream_id):
                self._forget(stream_id)
            case WindowUpdated() | RemoteSettingsChanged():
                unsent, self._unsent = self._unsent, {}
                for stream_id, body in unsent.items():
                    self._send_body(stream_id, body)
            case ConnectionTerminated():
                self.shut_down()

    def _forget(self, stream_id: int) -> None:
        self._unsent.pop(stream_id, None)
        if exchange := self._exchanges.pop(stream_id, None):
            exchange.gone = True

    def write_answer(self, stream_id: int, answer: Answer) -> bool:
        headers = [
            (":status", str(answer.status)),
            ("content-type", "application/json; charset=UTF-8"),
            *answer.headers,
        ]
        # The client may have reset the stream, which h2 reports as a protocol error.
        try:
            self._connection.send_headers(stream_id, headers)
            self._send_body(stream_id, answer.body)
        except ProtocolError:
            return False
        finally:
            self._schedule_flush()
        return True

    def _send_body(self, stream_id: int, body: bytes) -> None:
        """Sends as much as the client's window allows, and keeps the rest until the window grows."""
        while True:
            window = self._connection.local_flow_control_window(stream_id)
            size = min(len(body), window, self._connection.max_outbound_frame_size)
            is_last = size == len(body)
            # An empty body needs no window.
            if size <= 0 and not is_last:
                self._unsent[stream_id] = body
                return
            self._connection.send_data(stream_id, body[:size], end_stream=is_last)
            if is_last:
                self._exchanges.pop(stream_id, None)
                return
            body = body[size:]

    def reset(self, stream_id: int) -> None:
        self._forget(stream_id)
        self._connection.reset_stream(stream_id, ErrorCodes.CANCEL)
        self._schedule_flush()

    def lost(self) -> None:
        for stream_id in list(self._exchanges):
            self._forget(stream_id)

    def shut_down(self) -> None:
        if not self._transport.is_closing():
            self.lost()
            # Sends GOAWAY, so that the client knows which requests were processed.
            self._connection.close_connection()
            self._flush()
            self._transport.close()

    def _schedule_flush(self) -> None:
        """Sends all answers of one turn of the event loop in one TLS record."""
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        data = self._connection.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


class _Connection(H2Connection):
    @property
    def open_inbound_streams(self) -> int:
        """Always 0: with too many streams h2 would close the connection, but FCM refuses the stream."""
        # Counting the streams makes h2 remove the closed ones.
        if len(self.streams) > 4 * MAX_CONCURRENT_STREAMS:
            self._open_streams(1)
        return 0


class _Http2Exchange(Exchange):
    def __init__(self, session: Http2Session, stream_id: int, headers: dict[bytes, bytes]) -> None:
        self.gone = False
        self.body: list[bytes] = []
        self._session = session
        self._stream_id = stream_id
        self._headers = headers

    def request(self) -> Request:
        return Request(
            method=self._headers.get(b":method", b"").decode("latin-1"),
            path=self._headers.get(b":path", b"").decode("latin-1"),
            authorization=self._headers.get(b"authorization", b"").decode("latin-1"),
            body=b"".join(self.body),
        )

    def answer(self, answer: Answer) -> bool:
        if self.gone:
            return False
        self.gone = True
        return self._session.write_answer(self._stream_id, answer)

    def drop(self) -> None:
        if not self.gone:
            self._session.reset(self._stream_id)

    def close_connection(self) -> None:
        if not self.gone:
            self._session.shut_down()
