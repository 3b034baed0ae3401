"""Reads and checks the requests of the control API, which arm faults and set the latency."""

import json
from typing import Any

from medtrack.development.fcm.faults import KINDS, Ending, Fault

MAX_SECONDS = 3600


class ControlError(Exception):
    """A sentence that says what is wrong with a control request."""


def read_fault(body: bytes) -> Fault:
    content = _read_object(body, allowed={"fault", "times", "retry_after", "token", "seconds"})
    name = content.get("fault")
    if not isinstance(name, str) or name not in KINDS:
        raise ControlError(f"fault must be one of: {', '.join(KINDS)}.")
    fault = Fault(**{"times": 1, **content})
    # In JSON true and false are no numbers, in Python they are.
    if not isinstance(fault.times, int) or isinstance(fault.times, bool) or fault.times < 1:
        raise ControlError("times must be a whole number from 1.")
    if fault.retry_after is not None and not _is_seconds(fault.retry_after):
        raise ControlError(f"retry_after must be 0 to {MAX_SECONDS} seconds or null.")
    if fault.seconds is not None and not _is_seconds(fault.seconds):
        raise ControlError(f"seconds must be 0 to {MAX_SECONDS} or null.")
    if fault.token is not None and (not isinstance(fault.token, str) or fault.token == ""):
        raise ControlError("token must be a device token or null.")
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
    except (ValueError, RecursionError) as error:
        raise ControlError("The body must be JSON.") from error
    if not isinstance(content, dict):
        raise ControlError("The body must be a JSON object.")
    if unknown := sorted(content.keys() - allowed):
        raise ControlError(f"Unknown key {unknown[0]!r}; known are: {', '.join(sorted(allowed))}.")
    return content


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_SECONDS
