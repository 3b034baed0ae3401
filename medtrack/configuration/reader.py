"""Reads settings from the environment and gathers every problem, so that a start tells all of them at once.

`medtrack.settings` reads through `Reader`; what a value must be besides its type stands in `medtrack.configuration.checks`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

from medtrack.configuration.checks import CHECKS, FALSE, TRUE, is_true, problems_together, warnings_about

T = TypeVar("T")
# Names that are ours for sure: what begins like this and is no setting is a mistake.
PREFIXES = ("MEDTRACK_", "FIREBASE_", "FCM_")
# Read by script/server, docker compose and the web server, and not by the settings.
ELSEWHERE = {
    *("POSTGRES_PASSWORD", "MEDTRACK_PROBES", "MEDTRACK_SUPERVISOR", "PROMETHEUS_MULTIPROC_DIR"),
    *("WEB_PROCESSES", "WEB_LISTEN", "WEB_SOCKETS", "WEB_HANG_SECONDS"),
}
_ALIKE = 0.87


@dataclass(frozen=True)
class Setting:
    """A setting that was read: whether it was given, and what is wrong with it."""

    name: str
    is_given: bool
    problem: str = ""


class InvalidSettings(ImproperlyConfigured):
    """One sentence a line: what is wrong with which setting, and what to do."""

    def __init__(self, settings: list[Setting], warnings: list[str]) -> None:
        super().__init__("\n".join(f"{each.name} {each.problem}" for each in settings if each.problem))
        self.settings = settings
        self.warnings = warnings


class Reader(environ.Env):  # type: ignore[misc] # django-environ ships no types
    """An empty value is one that was not given, as in a copied .env.example.

    A value that cannot be used becomes the default, so that the reading goes on to the next problem; `refuse` then
    ends it. No sentence repeats a value: it may be a secret.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.ENVIRON: MutableMapping[str, str] = {
            name: value for name, value in environment.items() if value.strip()
        }
        self._settings: dict[str, Setting] = {}

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        """Called by `str`, `bool`, `int`, `float`, `list` and `db` of django-environ."""
        if var not in self.ENVIRON:
            self._settings.setdefault(var, Setting(var, is_given=False))
            return "" if default is self.NOTSET else default
        return self._try(var, lambda text: _cast(text, cast), "" if default is self.NOTSET else default)

    def required(self, name: str, remedy: str) -> str:
        value: str = self.str(name, default="")
        if name not in self.ENVIRON:
            self._settings[name] = Setting(name, is_given=False, problem=f"is not set: {remedy}")
        return value

    def parsed(self, name: str, read: Callable[[str], T], remedy: str) -> T:
        """What `read` makes of the text, or of an empty one; it raises ValueError or ImproperlyConfigured."""
        if name not in self.ENVIRON:
            self.get_value(name, default="")
            return read("")
        return self._try(name, read, read(""), remedy)

    @property
    def settings(self) -> list[Setting]:
        """All that were read, in the order in which they were."""
        values = {name: self.ENVIRON.get(name, "") for name in self._settings}
        found = dict(self._settings)
        for name, problem in problems_together(values):
            if name in found and not found[name].problem:
                found[name] = Setting(name, found[name].is_given, problem)
        return list(found.values())

    @property
    def warnings(self) -> list[str]:
        """What is probably a mistake, but may as well be none."""
        known = set(self._settings) | ELSEWHERE
        values = {name: self.ENVIRON.get(name, "") for name in self._settings}
        return [*warnings_about(values), *_unknown(self.ENVIRON, known)]

    def refuse(self) -> None:
        """Raises InvalidSettings when there is a problem."""
        if any(each.problem for each in self.settings):
            raise InvalidSettings(self.settings, self.warnings)

    def _try(self, name: str, read: Callable[[str], T], default: T, remedy: str = "") -> T:
        text, problem, value = self.ENVIRON[name], "", default
        try:
            if name in CHECKS:
                CHECKS[name](text)
            value = read(text)
        except (ValueError, ImproperlyConfigured) as error:
            problem = f"{error}; {remedy}" if remedy else str(error)
            problem = f"cannot be used: {problem.rstrip('.')}."
        if name not in self._settings or problem:
            self._settings[name] = Setting(name, is_given=True, problem=problem)
        return value


def _cast(text: str, cast: Any) -> Any:
    if cast is bool:
        return _boolean(text)
    if cast in (int, float):
        try:
            number = cast(text)
        except ValueError:
            raise ValueError(f"write {'a whole number' if cast is int else 'a number'}") from None
        if not math.isfinite(number):
            raise ValueError("write a finite number")
        return number
    if cast is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _boolean(text: str) -> bool:
    """Anything else would be taken for false, `ture` included."""
    if text.strip().lower() not in TRUE + FALSE:
        raise ValueError("write true or false")
    return is_true(text)


def _unknown(given: Iterable[str], known: set[str]) -> Iterable[str]:
    for name in sorted(set(given) - known):
        alike = get_close_matches(name, [each for each in known if len(each) > 5], n=1, cutoff=_ALIKE)
        if alike:
            yield f"{name} is not a setting of MedTrack; did you mean {alike[0]}?"
        elif name.startswith(PREFIXES):
            yield f"{name} is not a setting of MedTrack; docs/operating.md lists them."
