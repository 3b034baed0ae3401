"""Limits on how many objects a user may have, from `settings.LIMITS`."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ErrorDetail

from medtrack.http.problems import Conflict

# A device that a push reached within this time, and its session, are never ended to make room for another
# one.
REACHED_WITHIN = timedelta(days=30)

# What happens beyond each limit, for the API documentation.
BEYOND = {
    "medications": "409 `LimitReached`; deleted ones do not count.",
    "schedules": "409 `LimitReached`, over all medications; deleted ones do not count.",
    "devices": (
        "The device with the oldest `last_seen_at` is revoked (`too_many_devices`). If a push reached all of them in "
        "the last 30 days, 409 `LimitReached`."
    ),
    "sessions": (
        "The least recently used session ends: first of those without a device that receives pushes, then of those "
        "whose device no push reached in the last 30 days. If there is none, signing in is 409 `LimitReached` with the "
        "list of `sessions`; the same request with one of their ids as `end_session` ends that session."
    ),
    "edits": (
        "429 `TooManyEdits`. Creating, changing, deleting, pausing, resuming or cloning a medication or schedule "
        "counts as one; a clone counts one more for each schedule. A repeated request with the same `id` does not "
        "count."
    ),
    "zone_changes": "429 `TooManyEdits`.",
    "test_pushes": "429 `TooManyTests`. The limit for one device is 5 an hour.",
    "intakes_a_day": "The intake is recorded, with `over_limit: true`.",
}
_SENTENCES = {
    "medications": _(
        "You have %(number)s medications, which is the limit. Delete one that you no longer need."
    ),
    "schedules": _("You have %(number)s schedules, which is the limit. Delete one that you no longer need."),
    "devices": _("%(number)s of your devices are in use, which is the limit. Remove one of them."),
    "sessions": _("You are signed in on %(number)s devices, which is the limit. End one of the sessions."),
}


class LimitReached(Conflict):
    """The user has as many of these objects as one user may have: `limit` names them, `number` says how many."""

    default_detail = _("You have reached a limit. Delete something that you no longer need.")
    default_code = "limit_reached"

    def __init__(self, limit: str, **members: Any) -> None:
        number = getattr(settings.LIMITS, limit)
        super().__init__(limit=limit, number=number, **members)
        self.detail = ErrorDetail(str(_SENTENCES[limit]) % {"number": number}, code=self.default_code)


def refuse_more(limit: str, rows: QuerySet[Any, Any], *, new: int = 1) -> None:
    """Raises LimitReached if these rows and `new` further ones would exceed the limit.

    The caller's transaction must hold the lock of the user's row, so that `rows` includes those of
    transactions before.
    """
    if rows.count() + new > getattr(settings.LIMITS, limit):
        raise LimitReached(limit)
