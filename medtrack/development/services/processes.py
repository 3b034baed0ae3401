"""Starts child processes in sessions of their own, watches them, and stops them in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from medtrack.development.services import orphans
from medtrack.development.services.refusal import RefusalError, last_lines

STOP_SECONDS = 10
POLL_SECONDS = 0.05
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequestedError(Exception):
    """This process received SIGINT, SIGTERM or SIGHUP."""


@dataclass
class Child:
    name: str
    process: subprocess.Popen[bytes]
    spawn: Callable[[], subprocess.Popen[bytes]]
    stop_signal: signal.Signals = signal.SIGTERM
    log: Path | None = None
    is_restarted: bool = False
    """The supervisor continues when this child ends."""

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def exit_message(self) -> str:
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
        """Writes the child's output to `log`, or without one to `child.process.stdout`."""

        def spawn() -> subprocess.Popen[bytes]:
            with ExitStack() as files:
                return subprocess.Popen(
                    command,
                    env=env,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=files.enter_context(log.open("wb")) if log else subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    # In its own session Ctrl-C does not reach it: the supervisor stops all children in order.
                    start_new_session=True,
                )

        child = Child(name, spawn(), spawn, stop_signal, log)
        self.children.append(child)
        orphans.remember(self._record, child.process.pid, stop_signal)
        return child

    def restart(self, child: Child) -> None:
        """Starts a child that has ended again."""
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
            # Ends what is left of its session, or all of it when the signal had no effect.
            _kill_session(child.process)
            child.process.wait()


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Supervisor:
    """Owns all processes of one run. On exit, with or without an error, it stops them, last one first."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self._groups: list[Group] = []
        self._cleanup = ExitStack()
        self.stop_signal: int | None = None

    def __enter__(self) -> Self:
        # The handler only stores the signal. `check` reacts to it between two steps.
        for number in SIGNALS:
            self._cleanup.callback(signal.signal, number, signal.signal(number, self._on_signal))
        orphans.stop(self._record)
        self._cleanup.callback(self._record.unlink, missing_ok=True)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
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
        """Calls `cleanup` after the groups that are made from now on have stopped."""
        self._cleanup.callback(cleanup)

    def check(self) -> None:
        """Raises StopRequestedError after a stop signal, RefusalError when a child has ended by itself."""
        if self.stop_signal is not None:
            raise StopRequestedError
        for child in self.children:
            if child.has_ended and not child.is_restarted:
                raise RefusalError(child.exit_message)

    def wait_until(self, is_ready: Callable[[], bool], *, seconds: float, otherwise: str) -> None:
        """Polls `is_ready`. Raises what `check` raises, and RefusalError when the time is over."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise RefusalError(f"{otherwise} within {seconds:.0f} s.")
            time.sleep(POLL_SECONDS)
