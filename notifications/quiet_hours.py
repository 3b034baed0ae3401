"""When a person wants no follow-ups: wall clock in, the instant at which the quiet ends out. Pure."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


def quiet_until(now: datetime, *, zone: ZoneInfo, start: time, end: time) -> datetime | None:
    """The UTC instant at which the quiet hours around the instant `now` end; None outside of them.

    `start` and `end` are wall clock in `zone`; an end before the start is on the next day, and equal ends are the
    whole day. An end that a date's clock skips is the first instant after the gap, one that comes twice the first.
    """
    local = now.astimezone(zone)
    is_quiet = start <= local.time() < end if start < end else local.time() >= start or local.time() < end
    if not is_quiet:
        return None
    date = local.date() + timedelta(days=local.time() >= end)
    ended = datetime.combine(date, end, zone)
    # In a gap, fold=0 reads the clock of before the gap, and the way back over UTC is past it.
    return max(ended.astimezone(UTC), now)
