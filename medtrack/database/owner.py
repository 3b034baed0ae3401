"""Connecting as the owner of the tables instead of the role that the process has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection


@contextmanager
def connected_as(**parameters: Any) -> Iterator[None]:
    """Replaces the default connection by one with these of Django's connection parameters."""
    own = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(parameters)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(own)


@contextmanager
def as_owner() -> Iterator[None]:
    """Connects by DATABASE_OWNER_URL; without it the process has the owner's role already."""
    with connected_as(**settings.DATABASE_OWNER):
        yield
