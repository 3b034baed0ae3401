"""What is still running of a run that was killed: remembered at each start, stopped at the next one."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

STOP_SECONDS = 10
POLL_SECONDS = 0.02
# A process number is used again sooner or later; together with its starting time it is unique.
SAME_START_SECONDS = 5


def remember(record: Path, pid: int, stop_signal: int) -> None:
    with suppress(psutil.NoSuchProcess), record.open("a") as lines:
        lines.write(f"{pid} {psutil.Process(pid).create_time()} {int(stop_signal)}\n")


def stop(record: Path) -> None:
    """Stops, last one first, what the record names and still runs; then forgets it."""
    lines = record.read_text().splitlines() if record.exists() else []
    for line in reversed(lines):
        with suppress(ValueError, psutil.NoSuchProcess):
            pid, started, stop_signal = line.split()
            process = psutil.Process(int(pid))
            if abs(process.create_time() - float(started)) < SAME_START_SECONDS:
                _stop(process, int(stop_signal))
    record.unlink(missing_ok=True)


def _stop(process: psutil.Process, stop_signal: int) -> None:
    process.send_signal(stop_signal)
    deadline = time.monotonic() + STOP_SECONDS
    # Dead is enough: in a container nobody may be there to take note of it.
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
