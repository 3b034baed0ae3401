"""HTTP/1.1 with keep-alive: one request at a time on a connection."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import h11

from medtrack.development.fcm.exchanges import Answer, Exchange, Request

Handle = Callable[[Request, Exchange], None]


class Http1Session:
    def __init__(self, transport: asyncio.Transport, handle: Handle) -> None:
        self._connection = h11.Connection(h11.SERVER)
        self._transport = transport
        self._handle = handle
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._exchange: _Http1Exchange | None = None

    def receive(self, data: bytes) -> None:
        self._connection.receive_data(data)
        self._process_events()

    def _process_events(self) -> None:
        if self._transport.is_closing():
            return
        try:
            while True:
                event = self._connection.next_event()
                if self._connection.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[]))
                match event:
                    case h11.Request():
                        self._request, self._body = event, bytearray()
                    case h11.Data():
                        self._body += event.data
                    case h11.EndOfMessage():
                        self._dispatch()
                    case _:
                        # More data is needed, or h11 waits for the answer to the current request.
                        return
        except h11.RemoteProtocolError as error:
            if self._connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                headers = [("content-length", "0"), ("connection", "close")]
                response = h11.Response(status_code=error.error_status_hint, headers=headers)
                self._write(response, h11.EndOfMessage())
            self.shut_down()

    def _dispatch(self) -> None:
        assert self._request is not None  # noqa: S101 - h11 reports no end of a message without its start
        headers = dict(self._request.headers)
        request = Request(
            method=self._request.method.decode(),
            path=self._request.target.decode("latin-1"),
            authorization=headers.get(b"authorization", b"").decode("latin-1"),
            body=bytes(self._body),
        )
        # The answer may follow later; h11 pauses until then.
        self._exchange = _Http1Exchange(self)
        self._handle(request, self._exchange)

    def write_answer(self, answer: Answer) -> None:
        headers = [
            ("content-type", "application/json; charset=UTF-8"),
            ("content-length", str(len(answer.body))),
            *answer.headers,
        ]
        reason = HTTPStatus(answer.status).phrase
        response = h11.Response(status_code=answer.status, headers=headers, reason=reason)
        self._write(response, h11.Data(data=answer.body), h11.EndOfMessage())
        self._exchange = None
        if self._connection.our_state is h11.MUST_CLOSE:
            self._transport.close()
        else:
            self._connection.start_next_cycle()
            # The client may have sent its next request already. Processed later, because this method is
            # called while a request is processed.
            asyncio.get_running_loop().call_soon(self._process_events)

    def lost(self) -> None:
        if self._exchange is not None:
            self._exchange.gone = True

    def shut_down(self) -> None:
        self.lost()
        self._transport.close()

    def _write(self, *events: h11.Event) -> None:
        self._transport.write(b"".join(self._connection.send(event) or b"" for event in events))


class _Http1Exchange(Exchange):
    def __init__(self, session: Http1Session) -> None:
        self.gone = False
        self._session = session

    def answer(self, answer: Answer) -> bool:
        if self.gone:
            return False
        self.gone = True
        self._session.write_answer(answer)
        return True

    def drop(self) -> None:
        self.close_connection()

    def close_connection(self) -> None:
        if not self.gone:
            self._session.shut_down()
