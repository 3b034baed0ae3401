"""Answers probes on a Unix socket from threads of its own, also while all request threads are busy."""

import json
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from threading import Lock, Thread
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.db import connections
from django.http import HttpResponse

from medtrack.probes.middleware import LIVEZ, PROBES
from medtrack.web.activity import activity

SECONDS = 5
# While PostgreSQL hangs, only one thread waits for it.
_database_lock = Lock()


def serve(path: Path) -> None:
    """Starts a thread and returns. Any user of the folder can connect; /metrics needs its token."""
    server = _Server(str(path), _Handler)
    path.chmod(0o666)
    Thread(target=server.serve_forever, name="probes", daemon=True).start()


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs nothing when a client disconnects."""


class _Handler(BaseHTTPRequestHandler):
    timeout = SECONDS

    def do_GET(self) -> None:
        response = _response(self.path.partition("?")[0], self.headers.get("Authorization", ""))
        self.send_response(response.status_code)
        for name, value in response.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        self.wfile.write(response.content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Logs nothing: probes arrive every few seconds."""


def _response(path: str, authorization: str) -> HttpResponse:
    if path == "/activity":
        state = {"running": activity.running, "finished": activity.finished}
        return HttpResponse(json.dumps(state), content_type="application/json")
    if path not in PROBES:
        return HttpResponse(status=404)
    # Outside Django's handler there is no middleware, and no connection is closed after the request.
    request = WSGIRequest(
        {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "SERVER_NAME": "probes",
            "SERVER_PORT": "0",
            "HTTP_AUTHORIZATION": authorization,
            "wsgi.input": BytesIO(),
        }
    )
    # It does not use the database, so it must not wait for the lock.
    if path == LIVEZ:
        return PROBES[path](request)
    if not _database_lock.acquire(timeout=SECONDS):
        return HttpResponse("another probe waits for the database\n", content_type="text/plain", status=503)
    try:
        return PROBES[path](request)
    finally:
        connections.close_all()
        _database_lock.release()
