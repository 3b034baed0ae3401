"""The time zones a person can live in: those of the IANA database, without the ones that mean no place."""

from collections import defaultdict
from datetime import date, datetime
from zoneinfo import ZoneInfo, available_timezones

ZONES = frozenset(available_timezones()) - {"localtime", "Factory"}


def zones_by_date(now: datetime) -> dict[date, list[str]]:
    """Which day it is where: two or three dates, each with its zones."""
    zones: dict[date, list[str]] = defaultdict(list)
    for zone in sorted(ZONES):
        zones[now.astimezone(ZoneInfo(zone)).date()].append(zone)
    return zones
