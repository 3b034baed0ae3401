"""Counts the running and the finished requests of this process, for the watchdog."""

from threading import get_ident
from typing import Any


class Activity:
    """Counts by thread: the next request of a thread replaces one whose end was not reported."""

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
