"""Child processes: started in sessions of their own, watched, and stopped in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from medtrack.development.services import orphans
from medtrack.development.services.refusal import RefusalError, last_lines

STOP_SECONDS = 10
POLL_SECONDS = 0.05
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequestedError(Exception):
    """Somebody asked us to stop."""


@dataclass
class Child:
    name: str
    process: subprocess.Popen[bytes]
    spawn: Callable[[], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    log: Path | None = None
    is_restarted: bool = False
    """Its end does not end the run."""

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def epitaph(self) -> str:
        status = self.process.returncode
        how = f"was ended by signal {-status}" if status < 0 else f"stopped with exit status {status}"
        where = f"; {self.log} ends with:{last_lines(self.log)}" if self.log else "; see its lines above."
        return f"{self.name} {how}{where}"


class Group:
    """Children that are stopped together."""

    def __init__(self, record: Path) -> None:
        self.children: list[Child] = []
        self._record = record

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        log: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Child:
        """Its output goes to the log, or without one to `child.process.stdout`."""
        spawn = partial(_spawn, command, env, folder, log)
        child = Child(name, spawn(), spawn, stop_signal, log)
        self.children.append(child)
        orphans.remember(self._record, child.process.pid, stop_signal)
        return child

    def restart(self, child: Child) -> None:
        """One that has ended."""
        _kill_session(child.process)
        child.process = child.spawn()
        orphans.remember(self._record, child.process.pid, child.stop_signal)

    def stop(self) -> None:
        for child in self.children:
            child.process.send_signal(child.stop_signal)
        deadline = time.monotonic() + STOP_SECONDS
        for child in self.children:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0, deadline - time.monotonic()))
            # What is left of its session, or all of it when it did not listen.
            _kill_session(child.process)
            child.process.wait()


def _spawn(
    command: Sequence[str], env: Mapping[str, str] | None, folder: Path | None, log: Path | None
) -> subprocess.Popen[bytes]:
    with ExitStack() as files:
        return subprocess.Popen(
            command,
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=files.enter_context(log.open("wb")) if log else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C in a terminal reaches the whole foreground group; only we are to act on it.
            start_new_session=True,
        )


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Supervisor:
    """Owns every process of one run; on the way out, whichever it is, stops them last one first."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self._groups: list[Group] = []
        self._cleanup = ExitStack()
        self.stop_signal: int | None = None

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._cleanup.callback(signal.signal, number, signal.signal(number, self._note))
        orphans.stop(self._record)
        self._cleanup.callback(self._record.unlink, missing_ok=True)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.stop_signal = number

    def group(self) -> Group:
        group = Group(self._record)
        self._groups.append(group)
        self._cleanup.callback(group.stop)
        return group

    @property
    def children(self) -> list[Child]:
        return [child for group in self._groups for child in group.children]

    def when_done(self, cleanup: Callable[[], object]) -> None:
        """Cleans up after everything that is started from now on has stopped."""
        self._cleanup.callback(cleanup)

    def check(self) -> None:
        """Raises StopRequestedError when asked to stop, RefusalError when a child has stopped by itself."""
        if self.stop_signal is not None:
            raise StopRequestedError
        for child in self.children:
            if child.has_ended and not child.is_restarted:
                raise RefusalError(child.epitaph)

    def wait_until(self, ready: Callable[[], bool], *, seconds: float, otherwise: str) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise RefusalError(f"{otherwise} within {seconds:.0f} s.")
            time.sleep(POLL_SECONDS)
