"""The error of this package whose message is printed without a traceback."""

from pathlib import Path

SHOWN_LINES = 8


class RefusalError(Exception):
    """A sentence that says what is wrong and what to do about it."""


def last_lines(log: Path) -> str:
    """Returns the last lines of a log file, each indented and after a line break."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "".join(f"\n    {line}" for line in lines[-SHOWN_LINES:])
