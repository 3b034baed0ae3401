"""Limits and the parsing of their settings. Imports nothing of Django, because the settings import it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

_NUMBER = re.compile(r"[1-9][0-9]{0,6}")
_WRITTEN = re.compile(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class Limit:
    """`times` uses in `seconds`, counted from the first.

    Further uses need pauses, each twice as long as the last.
    """

    times: int
    seconds: int
    # The first pause, in seconds. A pause never lasts longer than the window.
    pause: int = 5

    def __str__(self) -> str:
        return f"{self.times} in {self.seconds} s"

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Parses a text such as `10/900`. Raises ValueError."""
        match = _WRITTEN.fullmatch(text.strip())
        if not match:
            raise ValueError(f"{text!r} is not a number of times, a slash and a number of seconds")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class PersonLimits:
    """The limits of one user. docs/operating.md and the API's description say what happens beyond each."""

    devices: int = 20
    medications: int = 200
    schedules: int = 500
    sessions: int = 20
    intakes_a_day: int = 300
    edits: Limit = Limit(300, 3600)
    test_pushes: Limit = Limit(30, 3600)
    zone_changes: Limit = Limit(20, 3600)

    @classmethod
    def parse(cls, text: str) -> "PersonLimits":
        """Returns the default limits with the changes of a text such as `devices=50,edits=600/3600`.

        Raises ValueError.
        """
        defaults = {field.name: field.default for field in fields(cls)}
        changed: dict[str, int | Limit] = {}
        for name, value in _pairs(text, defaults):
            changed[name] = Limit.parse(value) if isinstance(defaults[name], Limit) else _number(value)
        return replace(cls(), **changed)  # type: ignore[arg-type]


# Those by address are high, because thousands of users may share the address of a mobile network.
DEFAULT_THROTTLES = {
    "signup": Limit(60, 3600),
    "login": Limit(200, 900),
    "login_account": Limit(10, 900),
    "login_everywhere": Limit(100, 900),
    "login_device": Limit(10, 900),
    "login_known": Limit(100, 900),
    "code": Limit(10, 900),
    "refresh": Limit(30, 60),
    "refresh_failures": Limit(3000, 600),
    "social": Limit(200, 900),
    "forgot": Limit(60, 3600),
    "mail": Limit(3, 3600, pause=300),
}


def with_changes(limits: Mapping[str, Limit], text: str) -> dict[str, Limit]:
    """Returns the limits with the changes of a text such as `signup=60/3600,refresh=900/600`.

    Raises ValueError.
    """
    changed = {
        name: replace(Limit.parse(limit), pause=limits[name].pause) for name, limit in _pairs(text, limits)
    }
    return {**limits, **changed}


def _pairs(text: str, names: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for part in filter(None, text.split(",")):
        name, _equals, value = part.partition("=")
        if name.strip() not in names:
            raise ValueError(f"{name.strip()!r} is none of {', '.join(names)}")
        yield name.strip(), value.strip()


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a whole number of 1 or more")
    return int(text)
