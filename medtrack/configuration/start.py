"""Loads the settings when a process starts, or ends it with one line for each setting that cannot be used."""

import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module

from medtrack.configuration.reader import InvalidSettings, Reader


@cache  # medtrack.wsgi and medtrack.celery both call it, and the warnings are printed once
def load_settings() -> None:
    """Ends the process with exit status 1, and without a traceback, when a setting cannot be used."""
    try:
        reader = _reader()
    except InvalidSettings as error:
        sys.stderr.writelines(_warning_lines(error.warnings))
        sys.exit(f"MedTrack cannot start:\n{error}")
    sys.stderr.writelines(_warning_lines(reader.warnings))


def print_settings() -> int:
    """Prints the table of `manage.py check_settings`, without any value, and returns the exit status."""
    try:
        reader = _reader()
    except InvalidSettings as error:
        settings, warnings = error.settings, error.warnings
    else:
        settings, warnings = reader.settings, reader.warnings
    width = max(len(setting.name) for setting in settings)
    for setting in sorted(settings, key=lambda setting: setting.name):
        origin = "set" if setting.is_given else "default"
        sys.stdout.write(f"{setting.name:<{width}}  {origin:<7}  {setting.problem or 'OK'}\n")
    sys.stdout.writelines(_warning_lines(warnings))
    return 1 if any(setting.problem for setting in settings) else 0


def _reader() -> Reader:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medtrack.settings")
    reader: Reader = import_module(os.environ["DJANGO_SETTINGS_MODULE"]).env
    return reader


def _warning_lines(warnings: Sequence[str]) -> list[str]:
    return [f"Warning: {warning}\n" for warning in warnings]
