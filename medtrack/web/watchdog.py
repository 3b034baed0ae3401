"""Decides from outside whether a web process hangs. Pure: observations and instants are passed in.

A process that does not answer `/livez` may only be busy: all its threads work. It hangs when no request
finishes either, for as long as the proxy waits for a response, after which every client has received an
error. While the database does not answer, or a signal or debugger has stopped the process, it does not count
as hanging, because a restart would not help.
"""

from dataclasses import dataclass

# A process with idle threads that does not answer is not busy, so it has less time.
IDLE_SECONDS = 10
# Until its first answer a process loads its code, which is slow on a busy machine.
START_SECONDS = 120
CHECK_SECONDS = 2
# When the time between two checks exceeds all their timeouts, the launcher itself was paused.
LONGEST_CHECK_SECONDS = 12


@dataclass(frozen=True)
class Observation:
    """The result of one check. `running` and `finished` count requests; None without an answer."""

    answered: bool = False
    running: int | None = None
    finished: int | None = None
    is_database_available: bool = True
    is_paused: bool = False


class Watchdog:
    def __init__(self, hang_seconds: float) -> None:
        self._hang_seconds = hang_seconds
        self._finished: int | None = None
        self._silent_seconds = 0.0
        self._checked_at: float | None = None
        self._has_started = False

    def hangs(self, observation: Observation, now: float) -> bool:
        """Returns whether to kill the process. Call it after every check; `now` is monotonic, in seconds."""
        elapsed = 0.0 if self._checked_at is None else now - self._checked_at
        self._checked_at = now
        # A request may run for as long as it likes while the database keeps it waiting.
        waits_for_database = bool(observation.running) and not observation.is_database_available
        if (
            observation.answered
            or observation.is_paused
            or waits_for_database
            or elapsed > LONGEST_CHECK_SECONDS
            or observation.finished != self._finished
        ):
            self._silent_seconds = 0.0
        else:
            self._silent_seconds += elapsed
        self._finished = observation.finished
        self._has_started |= observation.answered or observation.running is not None

        if not self._has_started:
            limit = max(START_SECONDS, self._hang_seconds)
        elif observation.running == 0:
            limit = min(IDLE_SECONDS, self._hang_seconds)
        else:
            limit = self._hang_seconds
        return self._silent_seconds >= limit
