"""Logs an error that a process repeats once a minute, with a count, instead of every time."""

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SECONDS = 60.0
# How many different errors are remembered. With more of them the oldest is forgotten and then logged again.
REMEMBERED = 500
# Each failed request has one line with its id, so that support can find it.
EXEMPT = {"medtrack.observability.request_log"}
# Two errors that differ only in these values, such as ids and times, count as the same error.
_INCIDENTAL = {"timestamp", "request_id", "task_id", "parent_task_id", "notification_id", "tag"}
_NUMBER = re.compile(r"\d+")
_PLACE = re.compile(r'File "[^"]*", line \d+')


@dataclass
class _Error:
    silent_until: float
    repeats: int = 0


class RepeatedErrors(logging.Filter):
    """Passes the first warning or error of a kind, then one in `seconds` with the number of repeats."""

    def __init__(self, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._errors: OrderedDict[object, _Error] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or record.name in EXEMPT:
            return True
        now = self._clock()
        with self._lock:
            kind = _kind(record)
            error = self._errors.get(kind)
            if error and now < error.silent_until:
                error.repeats += 1
                return False
            self._errors[kind] = _Error(now + self._seconds)
            self._errors.move_to_end(kind)
            if len(self._errors) > REMEMBERED:
                self._errors.popitem(last=False)
        if error and error.repeats:
            if isinstance(record.msg, dict):
                record.msg = {**record.msg, "repeats": error.repeats}
            else:
                record.msg = (
                    f"{record.getMessage()} (and {error.repeats} more times since this was last logged)"
                )
                record.args = None
        return True


def _kind(record: logging.LogRecord) -> object:
    """Returns what is equal in repeats of one error: logger, event or template, task and exception."""
    error = record.exc_info[0] if record.exc_info else None
    # structlog's records have a dict as their message. Celery's have the task's name among the arguments.
    if isinstance(record.msg, Mapping):
        details = {
            name: _comparable(name, value) for name, value in record.msg.items() if name not in _INCIDENTAL
        }
        return record.name, record.levelno, tuple(sorted(details.items())), error
    task = record.args.get("name") if isinstance(record.args, Mapping) else None
    return record.name, record.levelno, str(record.msg), task, error


def _comparable(name: str, value: Any) -> str:
    """Returns a text without its numbers, a mapping's keys, or a traceback's files and lines."""
    if name == "exception":
        return ", ".join(_PLACE.findall(str(value)))
    if isinstance(value, Mapping):
        return ", ".join(sorted(map(str, value)))
    return _NUMBER.sub("0", value) if isinstance(value, str) else ""
