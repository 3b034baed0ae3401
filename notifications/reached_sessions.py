"""Which sessions have a device that pushes reach: `settings.LAST_REACHED` names this for `users`, which knows none."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from medtrack.http.person_limits import REACHED_WITHIN
from notifications.models import DeviceToken
from users.models import User


def last_reached(user: User, *, now: datetime) -> Mapping[UUID, datetime]:
    """By session, of those with a device that pushes go to: when the device was last reached."""
    devices = DeviceToken.objects.filter(user=user).reachable()
    rows = devices.with_reached_at(since=now - REACHED_WITHIN).order_by("reached_at")
    # The latest of several devices comes last.
    return dict(rows.values_list("session_id", "reached_at"))
