"""A Sentry that only listens: it keeps every envelope it is sent, on a port of its own."""

import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self


class SentrySink:
    def __init__(self) -> None:
        self.envelopes: list[str] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                sink.envelopes.append(body.decode())
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Not in the output of the tests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.dsn = f"http://key@127.0.0.1:{self._server.server_port}/1"

    def events(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for envelope in self.envelopes for line in envelope.splitlines()]
        return [line for line in lines if "event_id" in line and "level" in line]

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
