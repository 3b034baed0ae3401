"""TCP ports on the loopback interface: which one is free, and whether the wanted one is."""

import errno
import socket
from collections.abc import Mapping

from medtrack.development.services.refusal import RefusalError

HOST = "127.0.0.1"
DEFAULT_PORT = "8000"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wanted_port(environ: Mapping[str, str]) -> int:
    value = environ.get("PORT") or DEFAULT_PORT
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        raise RefusalError(f"PORT is {value!r}, which is not a port: choose one from 1 to 65535.")
    return int(value)


def ensure_free(port: int) -> None:
    with socket.socket() as probe:
        # As the web server binds: connections of a run that has just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as problem:
            raise RefusalError(_why_not(port, problem)) from problem


def _why_not(port: int, problem: OSError) -> str:
    other = f"choose another one with PORT={port + 1 if port < 65535 else 8000} script/server."
    if problem.errno == errno.EADDRINUSE:
        return f"Port {port} is in use; stop the other program or {other}"
    return f"Port {port} cannot be used ({problem.strerror}); {other}"
