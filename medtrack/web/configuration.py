"""How many web processes run and where each of them listens, from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MOST_PROCESSES = 64
# A Unix socket's path has up to 107 bytes on Linux, and the sockets' names need up to 18 of them.
LONGEST_FOLDER = 88
READ_TIMEOUT = 60  # of the proxy: deploy/nginx/nginx.conf.template
TRUE = ("true", "on", "ok", "y", "yes", "1")  # as django-environ reads booleans


class ConfigurationError(Exception):
    """A sentence that says what is wrong and what to do about it."""


@dataclass(frozen=True)
class Address:
    """Where one process listens: a TCP port or a Unix socket, and the Unix socket for its probes."""

    host: str
    port: int
    socket: Path | None
    probes: Path

    @property
    def arguments(self) -> list[str]:
        """The command-line arguments of granian."""
        if self.socket:
            # The proxy runs as another user. The folder's permissions decide who can connect.
            return ["--uds", str(self.socket), "--uds-permissions", "0666"]
        return ["--host", self.host, "--port", str(self.port)]

    def __str__(self) -> str:
        return str(self.socket or f"{self.host}:{self.port}")


@dataclass(frozen=True)
class Configuration:
    addresses: tuple[Address, ...]
    threads: int
    hang_seconds: int
    log_format: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Configuration":
        """Raises ConfigurationError."""
        processes = _number(environ, "WEB_PROCESSES", 1, MOST_PROCESSES)
        is_debug = environ.get("DEBUG", "").strip().lower() in TRUE
        return cls(
            addresses=tuple(_addresses(environ, processes)),
            # More threads reduce the throughput, because Python runs one of them at a time. With three, one
            # can still serve requests while one hashes a password and another waits for the hash's slot.
            threads=max(3, 4 // processes),
            hang_seconds=_number(environ, "WEB_HANG_SECONDS", READ_TIMEOUT, 3600),
            log_format=environ.get("LOG_FORMAT") or ("console" if is_debug else "json"),
        )


def _addresses(environ: Mapping[str, str], processes: int) -> list[Address]:
    var = environ.get("MEDTRACK_VAR") or "var"
    folder = Path(environ.get("WEB_SOCKETS") or Path(var, "sockets")).absolute()
    if len(os.fsencode(folder)) > LONGEST_FOLDER:
        raise ConfigurationError(
            f"{folder} is too long a path for Unix sockets: name a shorter folder with WEB_SOCKETS."
        )
    listen = environ.get("WEB_LISTEN") or "tcp"
    if listen == "unix":
        return [
            Address("", 0, folder / f"web-{number}.sock", folder / f"probes-{number}.sock")
            for number in range(1, processes + 1)
        ]
    if listen != "tcp":
        raise ConfigurationError(f"WEB_LISTEN is {listen!r}: write tcp or unix.")
    host = environ.get("GRANIAN_HOST") or "127.0.0.1"
    first = _number(environ, "GRANIAN_PORT", 8000, 65536 - processes)
    return [
        Address(host, port, None, folder / f"probes-{port}.sock") for port in range(first, first + processes)
    ]


def _number(environ: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    value = environ.get(name) or str(default)
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= maximum):
        raise ConfigurationError(f"{name} is {value!r}: write a whole number from 1 to {maximum}.")
    return int(value)
