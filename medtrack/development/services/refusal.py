"""The one error of this package that is meant for the person at the terminal."""

from pathlib import Path

SHOWN_LINES = 8


class RefusalError(Exception):
    """A sentence that says what is wrong and what to do about it."""


def last_lines(log: Path) -> str:
    """The end of a log, indented, to stand below a refusal."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "".join(f"\n    {line}" for line in lines[-SHOWN_LINES:])
