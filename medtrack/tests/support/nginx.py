"""Debian's nginx with the configuration that docker-compose.yml gives to nginx's image.

product.start("web", WEB_LISTEN="unix", WEB_PROCESSES="2")
with Nginx(directory, sockets=product.directory / "sockets", processes=2) as nginx:
    eventually(nginx.is_ready)
    ... nginx.url, nginx.certificate, nginx.https_port
"""

import os
import re
import shutil
import ssl
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from typing import Self

from medtrack.development.fcm.identity import CERTIFICATE, PRIVATE_KEY, ensure_certificate
from medtrack.development.fcm.process import die_with_parent
from medtrack.development.services.ports import HOST, free_port

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "nginx"
STOP_SECONDS = 10


def rendered(**settings: str) -> str:
    """As the image does it: sources the shell script, then replaces the variables that are set."""
    script = DEPLOY / "10-medtrack.envsh"
    printed = subprocess.run(
        ["/bin/sh", "-euc", '. "$0"; env -0', str(script)],
        env={"PATH": os.environ["PATH"], **settings},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    known = dict(line.split("=", 1) for line in printed.split("\0") if line)
    template = (DEPLOY / "nginx.conf.template").read_text()
    return re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda match: known.get(match[1] or match[2], match[0]), template)


class Nginx:
    """On free ports of the loopback interface."""

    def __init__(self, directory: Path, *, sockets: Path, processes: int, **settings: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        ensure_certificate(directory)
        self.directory = directory
        self.certificate = directory / CERTIFICATE
        self.http_port, self.https_port, self.inside_port = free_port(), free_port(), free_port()
        self.url = f"https://localhost:{self.https_port}"
        settings = {
            "PROXY_HTTP": f"{HOST}:{self.http_port}",
            "PROXY_HTTPS": f"{HOST}:{self.https_port}",
            "PROXY_INSIDE": f"{HOST}:{self.inside_port}",
            "PROXY_TMP": str(directory),
            "TLS_CERTIFICATE": str(self.certificate),
            "TLS_KEY": str(directory / PRIVATE_KEY),
            "WEB_PROCESSES": str(processes),
            "WEB_SOCKETS": str(sockets),
            **settings,
        }
        self.configuration = directory / "nginx.conf"
        self.configuration.write_text(rendered(**settings))

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def is_ready(self) -> bool:
        """Whether web can be reached through it."""
        connection = HTTPConnection(HOST, self.inside_port, timeout=5)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self._log = (self.directory / "nginx.log").open("wb")
        self._process = subprocess.Popen(
            [*self._command, "-g", "daemon off; master_process off;"],
            stdout=self._log,
            stderr=self._log,
            preexec_fn=die_with_parent,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(STOP_SECONDS)
        self._log.close()

    def check(self) -> str:
        """What `nginx -t` says of the configuration."""
        return subprocess.run([*self._command, "-t"], check=False, capture_output=True, text=True).stderr

    @property
    def _command(self) -> list[str]:
        return [_program(), "-c", str(self.configuration), "-p", str(self.directory)]


def _program() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert found, "nginx is missing: apt-get install nginx-light (on Debian)"
    return found
