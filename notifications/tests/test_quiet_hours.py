"""Quiet hours against a walk over every minute, in zones whose clocks jump."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from notifications.quiet_hours import quiet_until

ZONES = ["Asia/Seoul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Nuuk", "UTC"]
MINUTE = timedelta(minutes=1)
minutes = st.builds(time, st.integers(0, 23), st.integers(0, 59))
# Around the spring and the autumn change of several zones, and in between.
STARTS = [
    datetime(2026, 3, 28, 12, tzinfo=UTC),
    datetime(2026, 10, 24, 12, tzinfo=UTC),
    datetime(2026, 7, 1, tzinfo=UTC),
]
instants = st.builds(lambda start, n: start + n * MINUTE, st.sampled_from(STARTS), st.integers(0, 2880))


def minute_of(clock: time) -> int:
    return clock.hour * 60 + clock.minute


def is_quiet(at: datetime, zone: ZoneInfo, start: time, end: time) -> bool:
    """Minutes on the face of a clock; equal ends are the whole day."""
    since_start = (minute_of(at.astimezone(zone).time()) - minute_of(start)) % 1440
    return since_start < ((minute_of(end) - minute_of(start)) % 1440 or 1440)


@settings(deadline=None)
@given(instants, st.sampled_from(ZONES), minutes, minutes)
def test_it_is_quiet_exactly_in_the_hours_that_the_clock_shows(
    now: datetime, zone: str, start: time, end: time
) -> None:
    until = quiet_until(now, zone=ZoneInfo(zone), start=start, end=end)
    assert (until is not None) == is_quiet(now, ZoneInfo(zone), start, end)


@settings(deadline=None)
@given(instants, st.sampled_from(ZONES), minutes, minutes)
def test_quiet_ends_when_the_clock_says_so_and_not_before(
    now: datetime, zone: str, start: time, end: time
) -> None:
    until = quiet_until(now, zone=ZoneInfo(zone), start=start, end=end)
    if until is None:
        return
    assert until >= now
    assert until - now <= timedelta(hours=26)
    if start != end:
        clock = until.astimezone(ZoneInfo(zone)).time()
        # In a gap the clock is past the end at once; an hour that comes twice may leave it quiet a second time.
        assert clock >= end or is_quiet(until, ZoneInfo(zone), start, end)
        walked = now
        while walked < until:
            assert is_quiet(walked, ZoneInfo(zone), start, end)
            walked += 7 * MINUTE
