"""TCP ports of the loopback interface: finds a free one, and checks the configured one."""

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


def configured_port(environ: Mapping[str, str]) -> int:
    value = environ.get("PORT") or DEFAULT_PORT
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        raise RefusalError(f"PORT is {value!r}, which is not a port: choose one from 1 to 65535.")
    return int(value)


def ensure_free(port: int) -> None:
    """Raises RefusalError when this process cannot listen on the port."""
    other_port = port + 1 if port < 65535 else 8000
    remedy = f"choose another one with PORT={other_port} script/server."
    with socket.socket() as probe:
        # As the web server binds: without it, connections of a run that has just ended make the bind fail.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                message = f"Port {port} is in use; stop the other program or {remedy}"
            else:
                message = f"Port {port} cannot be used ({error.strerror}); {remedy}"
            raise RefusalError(message) from error
