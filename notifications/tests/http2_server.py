"""An HTTP/2 server in a thread that does what the stand-in does not: each test says how a request is answered."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded
from h2.exceptions import ProtocolError

from medtrack.development.fcm.identity import CERTIFICATE, PRIVATE_KEY, ensure_certificate

# Is given the connection, the stream and the body; False hangs up.
Script = Callable[[H2Connection, int, bytes], bool]


def accept(connection: H2Connection, stream: int, *headers: tuple[str, str], status: int = 200) -> None:
    connection.send_headers(stream, [(":status", str(status)), *headers])
    connection.send_data(stream, b'{"name": "projects/p/messages/1"}', end_stream=True)


class Http2Server:
    """`begin` may say more before the first request; `protocols` are those it takes to by ALPN."""

    def __init__(
        self,
        directory: Path,
        script: Script,
        begin: Callable[[H2Connection], None] = lambda _: None,
        protocols: Sequence[str] = ("h2",),
    ) -> None:
        ensure_certificate(directory)
        self.ca_file = directory / CERTIFICATE
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(directory / CERTIFICATE, directory / PRIVATE_KEY)
        self._tls.set_alpn_protocols(list(protocols))
        self._script = script
        self._begin = begin
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with self._tls.wrap_socket(client, server_side=True) as secure:
                self._talk(secure)
        except (OSError, ProtocolError):
            return

    def _talk(self, secure: ssl.SSLSocket) -> None:
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        self._begin(connection)
        bodies: dict[int, bytes] = {}
        secure.sendall(connection.data_to_send())
        while data := secure.recv(65_536):
            for event in connection.receive_data(data):
                if isinstance(event, DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded) and not self._script(
                    connection, event.stream_id, bodies.pop(event.stream_id)
                ):
                    return
            secure.sendall(connection.data_to_send())
