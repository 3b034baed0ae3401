"""The TLS server: speaks HTTP/1.1 or HTTP/2 on each connection, and closes them when it stops."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import cast

from medtrack.development.fcm.http1 import Handle, Http1Session
from medtrack.development.fcm.http2 import Http2Session
from medtrack.development.fcm.identity import CERTIFICATE, PRIVATE_KEY

HOST = "127.0.0.1"
_GRACE_SECONDS = 0.5


class Server:
    def __init__(self, listening: socket.socket, directory: Path, handle: Handle) -> None:
        self._socket = listening
        self._handle = handle
        self._connections: set[_Connection] = set()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(directory / CERTIFICATE, directory / PRIVATE_KEY)
        self._tls.set_alpn_protocols(["h2", "http/1.1"])
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._handle, self._connections),
            sock=self._socket,
            ssl=self._tls,
            ssl_shutdown_timeout=_GRACE_SECONDS,
        )

    def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()

    async def close_connections(self) -> None:
        # Copied, because the connections remove themselves from the set when they end.
        open_connections = list(self._connections)
        for connection in open_connections:
            connection.shut_down()
        ended = [connection.ended.wait() for connection in open_connections]
        try:
            await asyncio.wait_for(asyncio.gather(*ended), _GRACE_SECONDS)
        except TimeoutError:
            # These clients do not close their side of the connection.
            for connection in list(self._connections):
                connection.abort()


def listen(port: int) -> socket.socket:
    listening = socket.create_server((HOST, port), backlog=512)
    # asyncio disables Nagle's algorithm only for sockets that it created. It delays a request by up to 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class _Connection(asyncio.Protocol):
    def __init__(self, handle: Handle, open_connections: set["_Connection"]) -> None:
        self.ended = asyncio.Event()
        self._handle = handle
        self._open_connections = open_connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = cast(ssl.SSLObject, transport.get_extra_info("ssl_object"))
        session = Http2Session if tls.selected_alpn_protocol() == "h2" else Http1Session
        self._session: Http1Session | Http2Session = session(self._transport, self._handle)
        self._open_connections.add(self)

    def data_received(self, data: bytes) -> None:
        # After close() data that was already received is still reported.
        if not self._transport.is_closing():
            self._session.receive(data)

    def connection_lost(self, _problem: Exception | None) -> None:
        self._session.lost()
        self._open_connections.discard(self)
        self.ended.set()

    def shut_down(self) -> None:
        self._session.shut_down()

    def abort(self) -> None:
        self._transport.abort()
