"""What the request threads of this process are doing, for the watchdog: how many requests run, how many have ended."""

from threading import get_ident
from typing import Any


class Activity:
    """A thread works on one request at a time, so a request whose end was missed is over when the next one begins."""

    def __init__(self) -> None:
        self._running: dict[int, None] = {}
        self.finished = 0

    def begin(self) -> None:
        self._running[get_ident()] = None

    def end(self, **_signal: Any) -> None:
        self._running.pop(get_ident(), None)
        self.finished += 1

    @property
    def running(self) -> int:
        return len(self._running)


activity = Activity()
