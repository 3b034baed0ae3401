"""`run`: one command with a PostgreSQL and a Redis of its own, of which nothing is left afterwards."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from medtrack.development.services import environment, orphans, postgres, redis
from medtrack.development.services.folders import used_alone
from medtrack.development.services.processes import POLL_SECONDS, StopRequestedError, Supervisor
from medtrack.development.services.refusal import RefusalError

PREFIX = "medtrack-run-"


def run(command: Sequence[str]) -> int:
    """Returns the command's exit status."""
    remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with used_alone(folder), Supervisor(folder / "processes") as supervisor:
            return _run_in(folder, supervisor, command)
    except StopRequestedError:
        return 128 + signal.SIGINT
    finally:
        shutil.rmtree(folder)


def remove_leftovers() -> None:
    """Of runs that were killed."""
    for record in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/processes"):
        folder = record.parent
        # A lock that cannot be had belongs to a run that is alive, or to somebody else's.
        with suppress(RefusalError, OSError), used_alone(folder):
            orphans.stop(record)
            shutil.rmtree(folder)


def _run_in(folder: Path, supervisor: Supervisor, command: Sequence[str]) -> int:
    var = folder / "var"
    var.mkdir()
    environ = environment.for_run(
        os.environ,
        var,
        database_url=postgres.start(
            supervisor,
            folder,
            version=postgres.wanted_version(os.environ),
            settings=postgres.FAST_AND_FORGETFUL,
        ),
        redis_url=redis.start(supervisor, folder),
    )
    # In our own session: it may read the terminal, and Ctrl-C reaches it without our help.
    process = subprocess.Popen(command, env=environ)
    told = None
    while process.poll() is None:
        if supervisor.stop_signal not in (None, signal.SIGINT, told):
            told = supervisor.stop_signal
            process.terminate()
        time.sleep(POLL_SECONDS)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode
