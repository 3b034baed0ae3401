"""How often something may be asked for, as an operator writes it. Knows no Django: the settings are made of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

_WRITTEN = re.compile(r"([1-9][0-9]{0,6})/([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class Limit:
    """So many times in so many seconds, counted from the first; after that with pauses, each twice the one before."""

    times: int
    seconds: int
    # The first pause, in seconds. None is longer than what is left of the window.
    pause: int = 5

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """`10/900`. Raises ValueError."""
        found = _WRITTEN.fullmatch(text.strip())
        if not found:
            raise ValueError(f"{text!r} is not a number of times, a slash and a number of seconds")
        return cls(int(found[1]), int(found[2]))


def with_changes(limits: Mapping[str, Limit], text: str) -> dict[str, Limit]:
    """The limits, some of them changed: `signup=60/3600,refresh=900/600`. Raises ValueError."""
    changed = dict(limits)
    for part in filter(None, text.split(",")):
        name, _equals, limit = part.partition("=")
        if name.strip() not in limits:
            raise ValueError(f"{name.strip()!r} is none of {', '.join(limits)}")
        changed[name.strip()] = replace(Limit.parse(limit), pause=limits[name.strip()].pause)
    return changed
