"""`run`: runs one command on a PostgreSQL and a Redis of its own, and removes both afterwards."""

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
    # The folder is temporary and its name random, so that many runs can work side by side.
    remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with used_alone(folder), Supervisor(folder / "processes") as supervisor:
            environ = _start_services(folder, supervisor)
            # In the same session: the command may read the terminal, and Ctrl-C reaches it directly.
            process = subprocess.Popen(command, env=environ)
            passed_on = None
            while process.poll() is None:
                if supervisor.stop_signal not in (None, signal.SIGINT, passed_on):
                    passed_on = supervisor.stop_signal
                    process.terminate()
                time.sleep(POLL_SECONDS)
            # A shell reports the end by a signal as 128 and its number; so does this.
            return process.returncode if process.returncode >= 0 else 128 - process.returncode
    except StopRequestedError:
        return 128 + signal.SIGINT
    finally:
        shutil.rmtree(folder)


def remove_leftovers() -> None:
    """Stops the processes of killed runs and removes their folders."""
    for record in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/processes"):
        folder = record.parent
        # The folder of a run that is alive is locked, and the folder of another user cannot be opened.
        with suppress(RefusalError, OSError), used_alone(folder):
            orphans.stop(record)
            shutil.rmtree(folder)


def _start_services(folder: Path, supervisor: Supervisor) -> dict[str, str]:
    """Returns the environment of the command."""
    var = folder / "var"
    var.mkdir()
    version = postgres.chosen_version(os.environ)
    database_url = postgres.start(supervisor, folder, version=version, settings=postgres.FAST_SETTINGS)
    redis_url = redis.start(supervisor, folder)
    return environment.for_run(os.environ, var, database_url=database_url, redis_url=redis_url)
