"""Which sessions have a reachable device.

`users` knows no devices and calls it by `settings.LAST_REACHED`.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from medtrack.http.person_limits import REACHED_WITHIN
from notifications.models import DeviceToken
from users.models import User


def last_reached(user: User, *, now: datetime) -> Mapping[UUID, datetime]:
    """When a device was last reached, by session, for sessions with a device that pushes go to."""
    devices = DeviceToken.objects.filter(user=user).reachable()
    rows = devices.with_reached_at(since=now - REACHED_WITHIN).order_by("reached_at")
    # The latest of several devices comes last.
    return dict(rows.values_list("session_id", "reached_at"))
