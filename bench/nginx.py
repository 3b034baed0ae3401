"""nginx in place of FCM, for benches: TLS, HTTP/2 and a fixed latency, faster than the stand-in in Python.

    with nginx(directory, latency_ms=100) as server:
        ... server.url, server.ca_file, server.requests()

It answers every `POST /v1/projects/*/messages:send` with 200 and a new name, and checks neither the body nor the access
token. It is one process, with a hundred streams a connection as at FCM.
Needs Debian's packages nginx-light and libnginx-mod-http-echo.
"""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path

from support import running

from medtrack.development.fcm.identity import CERTIFICATE, PRIVATE_KEY, ensure_certificate
from medtrack.development.services.ports import free_port

PROJECT = "bench"
START_SECONDS = 10
ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
MISSING = (
    "nginx with its echo module is missing: apt-get install nginx-light libnginx-mod-http-echo (on Debian), "
    "or run against the stand-in where the benchmark offers that."
)

CONFIGURATION = """
load_module {echo};
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log error;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_body_buffer_size 64k;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    http2_max_concurrent_streams 100;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port} ssl http2 backlog=4096;
        ssl_certificate {directory}/{certificate};
        ssl_certificate_key {directory}/{private_key};
        location /v1/projects/ {{
            {answer}
        }}
        location = /requests {{ stub_status; }}
    }}
}}
"""
NAME = "projects/bench/messages/$connection-$connection_requests"
AT_ONCE = f"""return 200 '{{"name": "{NAME}"}}\\n';"""
LATER = f"""echo_read_request_body; echo_sleep %.3f; echo '{{"name": "{NAME}"}}';"""


@dataclass
class Nginx:
    url: str
    ca_file: str
    pid: int
    _calls: int = 0

    def requests(self) -> int:
        """Returns the number of requests for messages that it has received."""
        context = ssl.create_default_context(cafile=self.ca_file)
        host, _, port = self.url.removeprefix("https://").partition(":")
        connection = HTTPSConnection(host, int(port), context=context, timeout=10)
        try:
            connection.request("GET", "/requests")
            # The tenth word is the number of all requests, including this one and those of earlier calls.
            numbers = connection.getresponse().read().split()
        finally:
            connection.close()
        self._calls += 1
        return int(numbers[9]) - self._calls


@contextmanager
def nginx(directory: Path, *, latency_ms: int = 0) -> Iterator[Nginx]:
    """Listens on a free port until the block ends; its certificate and its log are in `directory`."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None or not ECHO.exists():
        raise SystemExit(MISSING)
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    ensure_certificate(directory)
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            echo=ECHO,
            directory=directory,
            port=port,
            certificate=CERTIFICATE,
            private_key=PRIVATE_KEY,
            answer=LATER % (latency_ms / 1000) if latency_ms else AT_ONCE,
        )
    )
    command = [program, "-p", str(directory), "-e", str(directory / "nginx.log"), "-c", str(configuration)]
    with running(command, stdin=subprocess.DEVNULL) as process:
        _wait_for(port, process)
        yield Nginx(f"https://127.0.0.1:{port}", str(directory / CERTIFICATE), process.pid)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise SystemExit(f"nginx did not start (status {process.poll()}); its log is beside its configuration")
