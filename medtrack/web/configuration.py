"""How many web processes there are and where each of them listens, from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MOST_PROCESSES = 64
# The kernel takes 107 bytes; the names of the sockets need up to 18 of them.
LONGEST_FOLDER = 88
READ_TIMEOUT = 60  # of the proxy, deploy/nginx/nginx.conf.template


class ConfigurationError(Exception):
    """A sentence that says what is wrong and what to do about it."""


@dataclass(frozen=True)
class Address:
    """Where one process listens: a TCP port, or a Unix socket; and the Unix socket of its probes."""

    host: str
    port: int
    socket: Path | None
    probes: Path

    @property
    def arguments(self) -> list[str]:
        """granian's."""
        if self.socket:
            # The proxy runs as another user. Who may reach the folder may reach web.
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
        return cls(
            addresses=tuple(_addresses(environ, processes)),
            # More threads than this cost throughput, for Python runs one at a time. Three, so that one is free while
            # one hashes a password and another waits for it.
            threads=max(3, 4 // processes),
            hang_seconds=_number(environ, "WEB_HANG_SECONDS", READ_TIMEOUT, 3600),
            log_format=environ.get("LOG_FORMAT") or ("console" if _is_debug(environ) else "json"),
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


def _is_debug(environ: Mapping[str, str]) -> bool:
    """As django-environ understands it."""
    return environ.get("DEBUG", "").strip().lower() in ("true", "on", "ok", "y", "yes", "1")


def _number(environ: Mapping[str, str], name: str, default: int, most: int) -> int:
    value = environ.get(name) or str(default)
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= most):
        raise ConfigurationError(f"{name} is {value!r}: write a whole number from 1 to {most}.")
    return int(value)
