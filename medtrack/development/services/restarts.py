"""Restarts child processes that end, after pauses that grow while a process keeps ending."""

import time
from dataclasses import dataclass

from medtrack.development.services.console import Console
from medtrack.development.services.processes import POLL_SECONDS, Child, Group, Supervisor

LONGEST_PAUSE_SECONDS = 30
# After a run of this length the pauses are short again.
LONG_RUN_SECONDS = 60


@dataclass
class _Run:
    began: float
    short_runs: int = 0
    restarts_at: float | None = None


def keep_running(group: Group, supervisor: Supervisor, console: Console) -> None:
    """Never returns; raises what `Supervisor.check` raises about the processes outside the group."""
    runs = {child.name: _Run(time.monotonic()) for child in group.children}
    for child in group.children:
        child.is_restarted = True
    while True:
        supervisor.check()
        for child in group.children:
            if child.has_ended:
                _restart_when_due(child, runs[child.name], group, console)
        time.sleep(POLL_SECONDS)


def _restart_when_due(child: Child, run: _Run, group: Group, console: Console) -> None:
    now = time.monotonic()
    if run.restarts_at is None:
        # The first look after the end: choose the pause and report it.
        run.short_runs = 0 if now - run.began > LONG_RUN_SECONDS else run.short_runs + 1
        pause = min(2**run.short_runs, LONGEST_PAUSE_SECONDS)
        run.restarts_at = now + pause
        console.write(f"{child.exit_message} It starts again in {pause} s.")
    elif now >= run.restarts_at:
        group.restart(child)
        console.relay(child)
        run.began, run.restarts_at = now, None
