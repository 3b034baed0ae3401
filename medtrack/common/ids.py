"""Primary keys: UUID version 7, made by the application, so that inserts land at the end of every index."""

from uuid import UUID

import uuid_utils
import uuid_utils.compat


def uuid7() -> UUID:
    return uuid_utils.compat.uuid7()


def uuid7_text() -> str:
    """For rows by the thousand: a seventh of the time."""
    return str(uuid_utils.uuid7())
