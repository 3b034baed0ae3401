"""Starts again what ends by itself, after pauses that grow while it keeps ending."""

import time
from dataclasses import dataclass

from medtrack.development.services.console import Console
from medtrack.development.services.processes import POLL_SECONDS, Child, Group, Supervisor

LONGEST_PAUSE_SECONDS = 30
# A life as long as this ends the growth of the pauses.
LONG_LIFE_SECONDS = 60


@dataclass
class _Life:
    began: float
    short_lives: int = 0
    starts_at: float | None = None


def keep_running(group: Group, supervisor: Supervisor, console: Console) -> None:
    """Returns only by raising, as `Supervisor.check` does for everything outside of the group."""
    lives = {child.name: _Life(time.monotonic()) for child in group.children}
    for child in group.children:
        child.is_restarted = True
    while True:
        supervisor.check()
        for child in group.children:
            if child.has_ended:
                _look_after(child, lives[child.name], group, console)
        time.sleep(POLL_SECONDS)


def _look_after(child: Child, life: _Life, group: Group, console: Console) -> None:
    now = time.monotonic()
    if life.starts_at is None:
        life.short_lives = 0 if now - life.began > LONG_LIFE_SECONDS else life.short_lives + 1
        pause = min(2**life.short_lives, LONGEST_PAUSE_SECONDS)
        life.starts_at = now + pause
        console.say(f"{child.epitaph} It starts again in {pause} s.")
    elif now >= life.starts_at:
        group.restart(child)
        console.relay(child)
        life.began, life.starts_at = now, None
