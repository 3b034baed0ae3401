"""Limits on how often a user does something within an hour or so, counted in the transaction that does it.

A counter in PostgreSQL is exact under concurrent requests, is rolled back with a transaction that fails, and does not
depend on Redis.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext_lazy as _

from medtrack.database.ids import uuid7
from medtrack.http.limits import Limit
from medtrack.http.problems import TooMany
from users.models import User

_COUNT = """
    INSERT INTO rate_counters AS c (id, user_id, name, began_at, times)
    VALUES (%(id)s, %(user)s, %(name)s, statement_timestamp(), %(times)s)
    ON CONFLICT (user_id, name) DO UPDATE SET
        times = excluded.times + CASE WHEN c.began_at > excluded.began_at - %(window)s THEN c.times ELSE 0 END,
        began_at = CASE WHEN c.began_at > excluded.began_at - %(window)s THEN c.began_at ELSE excluded.began_at END
    RETURNING times, began_at + %(window)s - statement_timestamp()
"""


class TooManyEdits(TooMany):
    """Medications and schedules, or the time zone, were changed too often within an hour; `limit` names which."""

    default_detail = _("You have changed this too often. Try again later.")


def count_edits(user: User, times: int = 1) -> None:
    """Counts changes of the user's medications and schedules. Raises TooManyEdits."""
    if (wait := _wait(user, "edits", settings.LIMITS.edits, times)) is not None:
        raise TooManyEdits(wait, limit="edits")


def count_zone_change(user: User) -> None:
    """Raises TooManyEdits."""
    if (wait := _wait(user, "zone_changes", settings.LIMITS.zone_changes)) is not None:
        raise TooManyEdits(wait, limit="zone_changes")


def wait_for_test_push(user: User) -> timedelta | None:
    """Counts a test push; returns how long to wait if that is beyond the limit, and otherwise None."""
    return _wait(user, "test_pushes", settings.LIMITS.test_pushes)


def _wait(user: User, name: str, limit: Limit, times: int = 1) -> timedelta | None:
    """Counts; returns the time until the window ends if that is too many: the caller rolls its transaction back."""
    values: dict[str, Any] = {
        "id": uuid7(),
        "user": user.id,
        "name": name,
        "times": times,
        "window": timedelta(seconds=limit.seconds),
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, values)
        counted, rest = cursor.fetchone()
    return rest if counted > limit.times else None
