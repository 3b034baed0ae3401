"""Primary keys: UUID version 7, made by the application. New ones are at the end of an index."""

from datetime import datetime
from uuid import UUID

import uuid_utils
import uuid_utils.compat


def uuid7() -> UUID:
    return uuid_utils.compat.uuid7()


def uuid7_text() -> str:
    """For bulk inserts: takes a seventh of the time."""
    return str(uuid_utils.uuid7())


def first_id(at: datetime) -> UUID:
    """Returns the lowest UUIDv7 of that millisecond: rows created since then have this id or a greater one."""
    return UUID(int=int(at.timestamp() * 1000) << 80)
