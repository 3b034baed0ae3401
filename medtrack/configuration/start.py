"""How a process begins: with settings that can be used, or with a sentence for each that cannot."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from medtrack.configuration.reader import InvalidSettings, Reader, Setting


def load_settings() -> None:
    """Ends the process with exit status 1, and without a traceback, when a setting cannot be used."""
    try:
        reader = _reader()
    except InvalidSettings as error:
        _warn(error.warnings)
        sys.exit(f"MedTrack cannot start:\n{error}")
    _warn(reader.warnings)


def print_settings() -> int:
    """The table of `manage.py check_settings`, without any value; returns the exit status."""
    try:
        reader = _reader()
    except InvalidSettings as error:
        settings, warnings = error.settings, error.warnings
    else:
        settings, warnings = reader.settings, reader.warnings
    sys.stdout.write(_table(settings))
    sys.stdout.writelines(f"Warning: {warning}\n" for warning in warnings)
    return 1 if any(setting.problem for setting in settings) else 0


def _warn(warnings: Sequence[str]) -> None:
    sys.stderr.writelines(f"Warning: {warning}\n" for warning in warnings)


def _reader() -> Reader:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medtrack.settings")
    reader: Reader = import_module(os.environ["DJANGO_SETTINGS_MODULE"]).env
    return reader


def _table(settings: Sequence[Setting]) -> str:
    width = max(len(setting.name) for setting in settings)
    return "".join(
        f"{setting.name:<{width}}  {'set' if setting.is_given else 'default':<7}  {setting.problem or 'OK'}\n"
        for setting in sorted(settings, key=lambda setting: setting.name)
    )
