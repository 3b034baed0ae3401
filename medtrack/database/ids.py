"""Primary keys: UUID version 7, made by the application, so that inserts land at the end of every index."""

from datetime import datetime
from uuid import UUID

import uuid_utils
import uuid_utils.compat


def uuid7() -> UUID:
    return uuid_utils.compat.uuid7()


def uuid7_text() -> str:
    """For rows by the thousand: a seventh of the time."""
    return str(uuid_utils.uuid7())


def first_id(at: datetime) -> UUID:
    """The lowest UUIDv7 of that millisecond: rows made since then are a range of the primary key."""
    return UUID(int=int(at.timestamp() * 1000) << 80)
