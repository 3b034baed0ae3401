"""Whether a web process hangs, judged from what is seen of it from outside. Pure: time is passed.

A process that does not answer a probe may just be busy: all its threads work. It hangs when besides that no request
finishes for as long as the proxy waits for an answer, so that every client has been given up already. Neither a
database that does not answer nor a process that somebody paused is mended by ending the process.
"""

from dataclasses import dataclass

# A server with idle threads that answers no probe is not busy.
DEAF_SECONDS = 10
# Until its first sign of life a process loads its code, on a busy machine slowly.
START_SECONDS = 120
LOOK_SECONDS = 2
# A look that takes longer than all its timeouts means that we were paused ourselves.
LONGEST_LOOK_SECONDS = 12


@dataclass(frozen=True)
class Sighting:
    """What one look at a process found. `running` and `finished` are None when its own thread did not answer."""

    answered: bool = False
    running: int | None = None
    finished: int | None = None
    is_database_there: bool = True
    is_paused: bool = False


class Watchdog:
    def __init__(self, hang_seconds: float) -> None:
        self._hang_seconds = hang_seconds
        self._finished: int | None = None
        self._silent = 0.0
        self._looked_at: float | None = None
        self._has_started = False

    def hangs(self, seen: Sighting, now: float) -> bool:
        """Called after every look; `now` is in seconds of any clock that only goes forward."""
        before, self._looked_at = self._looked_at, now
        elapsed = 0.0 if before is None else now - before
        if _is_excused(seen) or elapsed > LONGEST_LOOK_SECONDS or seen.finished != self._finished:
            self._silent = 0.0
        else:
            self._silent += elapsed
        self._finished = seen.finished
        self._has_started |= seen.answered or seen.running is not None
        return self._silent >= self._limit(seen)

    def _limit(self, seen: Sighting) -> float:
        if not self._has_started:
            return max(START_SECONDS, self._hang_seconds)
        return min(DEAF_SECONDS, self._hang_seconds) if seen.running == 0 else self._hang_seconds


def _is_excused(seen: Sighting) -> bool:
    return seen.answered or seen.is_paused or (bool(seen.running) and not seen.is_database_there)
