"""The limits of as-needed intakes against an oracle that walks minute by minute."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dosing.as_needed import Limit, next_allowed_at, obstacle
from dosing.cycles import AsNeeded
from medtrack.common.zones import ZONES
from medtrack.tests.builders import utc

BEGIN = utc(2026, 3, 7)
UTC_ZONE = ZoneInfo("UTC")
MINUTES = st.integers(0, 4 * 24 * 60).map(lambda minutes: BEGIN + timedelta(minutes=minutes))


def is_allowed(limits: AsNeeded, taken: list[datetime], at: datetime, zone: ZoneInfo) -> bool:
    days: dict[date, int] = {}
    for other in [*taken, at]:
        local = other.astimezone(zone).date()
        days[local] = days.get(local, 0) + 1
    if limits.max_per_day and days[at.astimezone(zone).date()] > limits.max_per_day:
        return False
    gap = limits.min_gap
    return gap is None or not any(at - gap < other < at + gap for other in taken)


@settings(max_examples=300, deadline=None)
@given(
    taken=st.lists(MINUTES, max_size=8),
    at=MINUTES,
    gap=st.none() | st.integers(1, 26 * 60).map(lambda minutes: timedelta(minutes=minutes)),
    most=st.none() | st.integers(1, 4),
    zone=st.sampled_from(sorted(ZONES)).map(ZoneInfo),
)
# The day on which New York's clocks change has 23 hours.
@example([utc(2026, 3, 8, 6)], utc(2026, 3, 8, 7), None, 1, ZoneInfo("America/New_York"))
def test_the_next_allowed_instant_is_the_first_one_allowed(
    taken: list[datetime], at: datetime, gap: timedelta | None, most: int | None, zone: ZoneInfo
) -> None:
    limits = AsNeeded(gap, most)
    walk = at
    while not is_allowed(limits, taken, walk, zone):
        walk += timedelta(minutes=1)
    assert next_allowed_at(limits, taken, at, zone) == walk
    assert (obstacle(limits, taken, at, zone) is None) == (walk == at)


@pytest.mark.parametrize(
    ("minutes_after", "limit", "until"),
    [
        (0, Limit.GAP, utc(2026, 3, 7, 4)),
        (239, Limit.GAP, utc(2026, 3, 7, 4)),
        (240, None, None),
        (-239, Limit.GAP, utc(2026, 3, 7, 4)),
        (-240, None, None),
    ],
)
def test_the_gap_holds_to_both_sides(minutes_after: int, limit: Limit | None, until: datetime | None) -> None:
    limits = AsNeeded(timedelta(hours=4), None)
    found = obstacle(limits, [BEGIN], BEGIN + timedelta(minutes=minutes_after), UTC_ZONE)
    assert found == (None if limit is None else (limit, until))
