"""Reads settings from the environment and collects all problems, so that one start reports all of them.

`medtrack.settings` reads through `Reader`; `medtrack.configuration.checks` has the checks beyond a value's type.
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
# Prefixes of MedTrack alone: another name that begins with one is a mistake.
PREFIXES = ("MEDTRACK_", "FIREBASE_", "FCM_")
# Read by script/server, docker compose and the web server, but not by the settings.
ELSEWHERE = {
    *("POSTGRES_PASSWORD", "MEDTRACK_PROBES", "MEDTRACK_SUPERVISOR", "PROMETHEUS_MULTIPROC_DIR"),
    *("WEB_PROCESSES", "WEB_LISTEN", "WEB_SOCKETS", "WEB_HANG_SECONDS"),
}
_ALIKE = 0.87


@dataclass(frozen=True)
class Setting:
    """A setting that was read, whether the environment has it, and its problem, if any."""

    name: str
    is_given: bool
    problem: str = ""


class InvalidSettings(ImproperlyConfigured):
    """One line for each setting with a problem: its name, the problem, and the remedy."""

    def __init__(self, settings: list[Setting], warnings: list[str]) -> None:
        super().__init__("\n".join(f"{each.name} {each.problem}" for each in settings if each.problem))
        self.settings = settings
        self.warnings = warnings


class Reader(environ.Env):  # type: ignore[misc] # django-environ ships no types
    """An empty value counts as not given, as in a copied .env.example.

    A value that cannot be used is replaced by the default, so that the next settings are read, too; `refuse` then
    raises the error. No message repeats a value: it may be a secret.
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
        """Returns the text as parsed by `read`, which raises ValueError or ImproperlyConfigured; "" if not given."""
        if name not in self.ENVIRON:
            self.get_value(name, default="")
            return read("")
        return self._try(name, read, read(""), remedy)

    @property
    def settings(self) -> list[Setting]:
        """All settings that were read, in that order."""
        values = {name: self.ENVIRON.get(name, "") for name in self._settings}
        settings = dict(self._settings)
        for name, problem in problems_together(values):
            if name in settings and not settings[name].problem:
                settings[name] = Setting(name, settings[name].is_given, problem)
        return list(settings.values())

    @property
    def warnings(self) -> list[str]:
        """Probable mistakes that do not stop the start."""
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
        # django-environ takes every other text for false, a typing error such as `ture` included.
        if text.strip().lower() not in TRUE + FALSE:
            raise ValueError("write true or false")
        return is_true(text)
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


def _unknown(names: Iterable[str], known: set[str]) -> Iterable[str]:
    for name in sorted(set(names) - known):
        alike = get_close_matches(name, [each for each in known if len(each) > 5], n=1, cutoff=_ALIKE)
        if alike:
            yield f"{name} is not a setting of MedTrack; did you mean {alike[0]}?"
        elif name.startswith(PREFIXES):
            yield f"{name} is not a setting of MedTrack; docs/operating.md lists them."
