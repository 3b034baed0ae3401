"""Stops the processes of a killed run: each start is recorded in a file, which the next run reads."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

STOP_SECONDS = 10
POLL_SECONDS = 0.02
# The kernel reuses process ids. A process is the recorded one when its start time is the recorded one, too.
SAME_START_SECONDS = 5


def remember(record: Path, pid: int, stop_signal: int) -> None:
    with suppress(psutil.NoSuchProcess), record.open("a") as lines:
        lines.write(f"{pid} {psutil.Process(pid).create_time()} {int(stop_signal)}\n")


def stop(record: Path) -> None:
    """Stops the recorded processes that still run, last one first, and removes the record."""
    lines = record.read_text().splitlines() if record.exists() else []
    for line in reversed(lines):
        # A process may end at any moment, and the line may be incomplete: the writer was killed.
        with suppress(ValueError, psutil.NoSuchProcess):
            pid, started, stop_signal = line.split()
            process = psutil.Process(int(pid))
            if abs(process.create_time() - float(started)) < SAME_START_SECONDS:
                _stop_process(process, int(stop_signal))
    record.unlink(missing_ok=True)


def _stop_process(process: psutil.Process, stop_signal: int) -> None:
    process.send_signal(stop_signal)
    deadline = time.monotonic() + STOP_SECONDS
    # A zombie counts as ended: in a container there may be no parent process that reaps it.
    with suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
