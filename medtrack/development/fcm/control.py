"""What may be said to the control API: arming faults and setting the latency. Reads and checks; the
application acts."""

import json
from collections.abc import Callable
from typing import Any

from medtrack.development.fcm.faults import KINDS, Ending, Fault

MAX_SECONDS = 3600


class ControlError(Exception):
    """Says in one sentence what is wrong with a control request."""


def read_fault(body: bytes) -> Fault:
    content = _read_object(body, allowed={"fault", "times", "retry_after", "token", "seconds"})
    name = content.get("fault")
    if not isinstance(name, str) or name not in KINDS:
        raise ControlError(f"fault must be one of: {', '.join(KINDS)}.")
    fault = Fault(**{"times": 1, **content})
    _check(fault.times, _is_count, "times must be a whole number from 1.")
    _check(
        fault.retry_after, _is_optional_seconds, f"retry_after must be 0 to {MAX_SECONDS} seconds or null."
    )
    _check(fault.seconds, _is_optional_seconds, f"seconds must be 0 to {MAX_SECONDS} or null.")
    _check(fault.token, _is_optional_token, "token must be a device token or null.")
    if fault.retry_after is not None and fault.kind.ending is not Ending.ANSWER:
        raise ControlError(f"{name} answers nothing, so it cannot have retry_after.")
    if fault.seconds is not None and fault.kind.ending is not Ending.HANG:
        raise ControlError(f"seconds is only for faults that hang, not for {name}.")
    return fault


def read_latency(body: bytes) -> float:
    content = _read_object(body, allowed={"seconds"})
    seconds = content.get("seconds")
    if not _is_seconds(seconds):
        raise ControlError(f"seconds must be a number from 0 to {MAX_SECONDS}.")
    return float(str(seconds))


def _read_object(body: bytes, *, allowed: set[str]) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise ControlError("The body must be JSON.") from problem
    if not isinstance(content, dict):
        raise ControlError("The body must be a JSON object.")
    if unknown := sorted(content.keys() - allowed):
        raise ControlError(f"Unknown key {unknown[0]!r}; known are: {', '.join(sorted(allowed))}.")
    return content


def _check(value: object, is_good: Callable[[object], bool], sentence: str) -> None:
    if not is_good(value):
        raise ControlError(sentence)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS


def _is_optional_seconds(value: object) -> bool:
    return value is None or _is_seconds(value)


def _is_optional_token(value: object) -> bool:
    return value is None or (isinstance(value, str) and value != "")
