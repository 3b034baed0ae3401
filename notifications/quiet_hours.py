"""Given wall-clock quiet hours, returns the UTC instant when they end. Pure."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def quiet_until(now: datetime, *, zone: ZoneInfo, start: time, end: time) -> datetime | None:
    """Returns when the quiet hours that contain the instant `now` end; None outside of them.

    `start` and `end` are wall-clock times in `zone`. An end before the start is on the next day; equal times
    mean the whole day. An end in a DST gap is the first instant after the gap; one that occurs twice is the
    first of the two.
    """
    local = now.astimezone(zone)
    is_quiet = start <= local.time() < end if start < end else local.time() >= start or local.time() < end
    if not is_quiet:
        return None
    date = local.date() + timedelta(days=local.time() >= end)
    ended = datetime.combine(date, end, zone)
    # In a DST gap fold=0 uses the offset before the gap, so converting to UTC lands after it.
    return max(ended.astimezone(UTC), now)
