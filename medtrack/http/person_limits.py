"""What happens when one person has as many of something as `settings.LIMITS` lets a person have."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ErrorDetail

from medtrack.http.problems import Conflict

# A device that was reached within this time, and the session on it, are never ended to make room for another one.
REACHED_WITHIN = timedelta(days=30)

# For clients, in the order of the table.
BEYOND = {
    "medications": "409 `LimitReached`; deleted ones do not count.",
    "schedules": "409 `LimitReached`, over all medications; deleted ones do not count.",
    "devices": (
        "The device that was not seen for the longest time is revoked (`too_many_devices`). If all were reached in the "
        "last 30 days, 409 `LimitReached`."
    ),
    "sessions": (
        "The session that was not used for the longest time ends, of those without a device that pushes go to, then of "
        "those whose device was not reached in the last 30 days. If there is none, signing in is 409 `LimitReached` with "
        "the list of `sessions`; the same request with one of their ids as `end_session` ends that one."
    ),
    "edits": (
        "429 `TooManyEdits`. Creating, changing, deleting, pausing, resuming or cloning a medication or schedule is one "
        "each; a clone is one more for each schedule. A repeat of a creation under the same `id` does not count."
    ),
    "zone_changes": "429 `TooManyEdits`.",
    "test_pushes": "429 `TooManyTests`; and to one device 5 an hour.",
    "intakes_a_day": "Recorded all the same, with `over_limit: true`.",
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
    """There are as many of these as one person can have: `limit` says of what, and `number` how many."""

    default_detail = _("You have reached a limit. Delete something that you no longer need.")
    default_code = "limit_reached"

    def __init__(self, limit: str, **members: Any) -> None:
        number = getattr(settings.LIMITS, limit)
        super().__init__(limit=limit, number=number, **members)
        self.detail = ErrorDetail(str(_SENTENCES[limit]) % {"number": number}, code=self.default_code)


def refuse_more(limit: str, rows: QuerySet[Any, Any], *, new: int = 1) -> None:
    """Raises LimitReached when these rows and `new` others would be more than the limit.

    To be called in a transaction that holds the person's row, so that another one's new rows are among them.
    """
    if rows.count() + new > getattr(settings.LIMITS, limit):
        raise LimitReached(limit)
