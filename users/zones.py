"""The time zones that a user can choose: those of the IANA database, without two that name no zone."""

from collections import defaultdict
from datetime import date, datetime
from zoneinfo import ZoneInfo, available_timezones

ZONES = frozenset(available_timezones()) - {"localtime", "Factory"}


def zones_by_date(now: datetime) -> dict[date, list[str]]:
    """Returns the two or three local dates of this instant, each with the zones that have it."""
    zones: dict[date, list[str]] = defaultdict(list)
    for zone in sorted(ZONES):
        zones[now.astimezone(ZoneInfo(zone)).date()].append(zone)
    return zones
