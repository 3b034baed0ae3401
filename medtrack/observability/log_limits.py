"""A process that fails in the same way again and again says so once a minute, with a count, and not every time."""

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SECONDS = 60.0
# Different errors that are remembered; with more than that the oldest are forgotten, and are logged again.
REMEMBERED = 500
# Each failed request has one line, with its id: somebody may ask for just that one.
EXEMPT = {"medtrack.observability.request_log"}
# What tells two errors of one kind apart, such as ids and times, does not make them different errors.
_INCIDENTAL = {"timestamp", "request_id", "task_id", "parent_task_id", "notification_id", "tag"}
_NUMBER = re.compile(r"\d+")
_PLACE = re.compile(r'File "[^"]*", line \d+')


@dataclass
class _Known:
    until: float
    repeats: int = 0


class RepeatedErrors(logging.Filter):
    """Passes the first warning or error of its kind at once; of its repeats one in `seconds`, which counts them."""

    def __init__(self, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._known: OrderedDict[object, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or record.name in EXEMPT:
            return True
        now = self._clock()
        with self._lock:
            kind = _kind(record)
            known = self._known.get(kind)
            if known and now < known.until:
                known.repeats += 1
                return False
            self._known[kind] = _Known(now + self._seconds)
            self._known.move_to_end(kind)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        if known and known.repeats:
            _tell(record, known.repeats)
        return True


def _kind(record: logging.LogRecord) -> object:
    """What repeats of one error have in common: logger, event or template, task and exception; no numbers."""
    error = record.exc_info[0] if record.exc_info else None
    if isinstance(record.msg, Mapping):
        details = (
            (name, _words(name, value)) for name, value in record.msg.items() if name not in _INCIDENTAL
        )
        return record.name, record.levelno, tuple(sorted(details)), error
    task = record.args.get("name") if isinstance(record.args, Mapping) else None
    return record.name, record.levelno, str(record.msg), task, error


def _words(name: str, value: Any) -> str:
    """The words of a text, the names in a mapping, the places of a traceback, whose message may differ."""
    if name == "exception":
        return ", ".join(_PLACE.findall(str(value)))
    if isinstance(value, Mapping):
        return ", ".join(sorted(map(str, value)))
    return _NUMBER.sub("0", value) if isinstance(value, str) else ""


def _tell(record: logging.LogRecord, repeats: int) -> None:
    if isinstance(record.msg, dict):
        record.msg = {**record.msg, "repeats": repeats}
    else:
        record.msg = f"{record.getMessage()} (and {repeats} more times since this was last logged)"
        record.args = None
