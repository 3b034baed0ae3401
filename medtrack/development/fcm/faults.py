"""The faults that a test can arm for the next send requests, and the order in which they apply."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from enum import Enum, auto

from medtrack.development.fcm import errors
from medtrack.development.fcm.exchanges import Answer


class Ending(Enum):
    ANSWER = auto()
    CLOSE = auto()
    HANG = auto()


@dataclass(slots=True, frozen=True)
class FaultKind:
    """`accepts`: FCM accepts the message, although the client receives an error or no answer."""

    accepts: bool
    ending: Ending
    answer: Callable[[], Answer] | None = None


KINDS = {
    "429": FaultKind(False, Ending.ANSWER, errors.quota_exceeded),
    "429-project": FaultKind(False, Ending.ANSWER, errors.project_quota_exceeded),
    "500": FaultKind(False, Ending.ANSWER, errors.internal),
    "503": FaultKind(False, Ending.ANSWER, errors.unavailable),
    "404": FaultKind(False, Ending.ANSWER, errors.unregistered),
    "401": FaultKind(False, Ending.ANSWER, errors.third_party_auth),
    "close": FaultKind(False, Ending.CLOSE),
    "hang": FaultKind(False, Ending.HANG),
    "accept-then-503": FaultKind(True, Ending.ANSWER, errors.unavailable),
    "accept-then-close": FaultKind(True, Ending.CLOSE),
    "accept-then-hang": FaultKind(True, Ending.HANG),
}


@dataclass(slots=True)
class Fault:
    fault: str
    times: int = 1
    retry_after: float | None = None
    token: str | None = None
    seconds: float | None = None

    @property
    def kind(self) -> FaultKind:
        return KINDS[self.fault]

    def answer(self) -> Answer | None:
        if self.kind.answer is None:
            return None
        answer = self.kind.answer()
        if self.retry_after is None:
            return answer
        return replace(answer, headers=(*answer.headers, ("retry-after", f"{self.retry_after:g}")))


class FaultQueue:
    def __init__(self) -> None:
        self._armed: list[Fault] = []

    def arm(self, fault: Fault) -> None:
        self._armed.append(fault)

    def clear(self) -> None:
        self._armed.clear()

    def remaining(self) -> list[dict[str, object]]:
        return [asdict(fault) for fault in self._armed]

    def take(self, device: str | None, *, acceptable: bool) -> Fault | None:
        """Returns the first armed fault for the device. A fault that accepts needs an acceptable message."""
        # `token` is None for a fault of all devices.
        for fault in self._armed:
            if fault.token in (None, device) and (acceptable or not fault.kind.accepts):
                fault.times -= 1
                if fault.times == 0:
                    self._armed.remove(fault)
                return fault
        return None
