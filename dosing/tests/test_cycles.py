"""The arithmetic against independent oracles: a brute-force walk over days, and over minutes for gaps."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dosing.cycles import WEEKDAYS, InvalidCycle, Rule, due_instant, occurrences, parse_cycle

ZONES = st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})).map(ZoneInfo)
DATES = st.dates(date(2024, 1, 1), date(2034, 12, 31))
TIMES = st.times().map(lambda at: at.replace(second=0, microsecond=0))


def first_instant_by_walk(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The first minute, walking through UTC, whose wall clock in `zone` is at or past the wanted one.

    In a fold that is the first reading; in a gap it is the first instant after it.
    """
    wall = datetime.combine(day, at)
    instant = wall.replace(tzinfo=UTC) - timedelta(hours=27)
    while instant.astimezone(zone).replace(tzinfo=None) < wall - timedelta(hours=3):
        instant += timedelta(hours=1)
    while instant.astimezone(zone).replace(tzinfo=None) < wall:
        instant += timedelta(minutes=1)
    return instant


@settings(max_examples=1500, deadline=None)
@given(day=DATES, at=TIMES, zone=ZONES)
@example(date(2026, 3, 8), time(2, 30), ZoneInfo("America/New_York"))
@example(date(2026, 11, 1), time(1, 30), ZoneInfo("America/New_York"))
@example(date(2026, 10, 4), time(2, 15), ZoneInfo("Australia/Lord_Howe"))
@example(date(2026, 4, 24), time(0, 0), ZoneInfo("Africa/Cairo"))
@example(date(2026, 3, 28), time(23, 30), ZoneInfo("America/Nuuk"))
@example(date(2011, 12, 30), time(8, 0), ZoneInfo("Pacific/Apia"))
def test_a_wall_clock_is_due_at_the_first_instant_that_reaches_it(
    day: date, at: time, zone: ZoneInfo
) -> None:
    assert due_instant(day, at, zone) == first_instant_by_walk(day, at, zone)


def test_a_time_in_a_gap_is_due_when_the_gap_ends() -> None:
    due = due_instant(date(2026, 3, 8), time(2, 30), ZoneInfo("America/New_York"))
    assert due == datetime(2026, 3, 8, 7, 0, tzinfo=UTC)


def test_a_time_that_exists_twice_is_due_the_first_time() -> None:
    due = due_instant(date(2026, 11, 1), time(1, 30), ZoneInfo("America/New_York"))
    assert due == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


CYCLES = st.one_of(
    st.just(("daily", None)),
    st.tuples(
        st.just("weekly"),
        st.fixed_dictionaries(
            {"days": st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True), "every": st.integers(1, 6)}
        ),
    ),
)


def falls_on(cycle: tuple[str, Any], day: date, start: date) -> bool:
    """The contract's table of cycles, date by date."""
    cycle_type, value = cycle
    if cycle_type == "daily":
        return True
    week = timedelta(days=7)
    monday_of_start = start - timedelta(days=start.weekday())
    weeks = (day - monday_of_start) // week
    return WEEKDAYS[day.weekday()] in value["days"] and weeks % value["every"] == 0


@settings(max_examples=500, deadline=None)
@given(
    cycle=CYCLES,
    at=TIMES,
    zone=ZONES,
    start=DATES,
    length=st.integers(0, 60) | st.none(),
    offset=st.integers(-30, 90),
)
def test_occurrences_are_those_of_a_walk_over_every_date(
    cycle: tuple[str, Any], at: time, zone: ZoneInfo, start: date, length: int | None, offset: int
) -> None:
    end = None if length is None else start + timedelta(days=length)
    since = datetime.combine(start, time(), tzinfo=UTC) + timedelta(days=offset, hours=5)
    until = since + timedelta(days=45)
    rule = Rule(parse_cycle(*cycle), at, start, end, Decimal(1))
    found = list(takewhile(lambda o: o.due_at < until, occurrences(rule, zone=zone, since=since)))

    days = (since.date() + timedelta(days=n) for n in range(-3, 50))
    expected = [
        (day, due)
        for day in days
        if day >= start and (end is None or day <= end) and falls_on(cycle, day, start)
        if since <= (due := due_instant(day, at, zone)) < until
    ]
    assert [(o.log_date, o.due_at) for o in found] == expected


def test_a_skipped_date_keeps_its_dose_on_its_own_log_date() -> None:
    rule = Rule(parse_cycle("daily", None), time(8), date(2011, 12, 1), None, Decimal(1))
    since = datetime(2011, 12, 29, 12, tzinfo=UTC)
    days = [o.log_date for o in islice(occurrences(rule, zone=ZoneInfo("Pacific/Apia"), since=since), 4)]
    assert days == [date(2011, 12, 29), date(2011, 12, 30), date(2011, 12, 31), date(2012, 1, 1)]


@pytest.mark.parametrize(
    ("zone", "skipped", "at", "gap_ends"),
    [
        ("Pacific/Apia", date(2011, 12, 30), time(8), datetime(2011, 12, 30, 10, tzinfo=UTC)),
        ("America/Nuuk", date(2026, 3, 28), time(23, 30), datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ],
)
def test_a_dose_that_a_gap_moved_past_midnight_is_still_found_at_its_instant(
    zone: str, skipped: date, at: time, gap_ends: datetime
) -> None:
    rule = Rule(parse_cycle("daily", None), at, date(2011, 1, 1), None, Decimal(1))
    found = next(occurrences(rule, zone=ZoneInfo(zone), since=gap_ends))
    assert (found.log_date, found.due_at) == (skipped, gap_ends)


def test_the_end_of_the_calendar_ends_an_endless_schedule() -> None:
    rule = Rule(parse_cycle("daily", None), time(8), date(9999, 12, 30), None, Decimal(1))
    since = datetime(9999, 12, 30, tzinfo=UTC)
    assert len(list(occurrences(rule, zone=ZoneInfo("UTC"), since=since))) == 2


@pytest.mark.parametrize(
    ("cycle_type", "value", "field", "code"),
    [
        ("daily", {}, "cycle_value", "must_be_null"),
        ("weekly", None, "cycle_value", "must_be_object"),
        ("weekly", [], "cycle_value", "must_be_object"),
        ("weekly", {}, "cycle_value.days", "required"),
        ("weekly", {"days": []}, "cycle_value.days", "required"),
        ("weekly", {"days": "mon"}, "cycle_value.days", "required"),
        ("weekly", {"days": ["monday"]}, "cycle_value.days", "unknown_weekday"),
        ("weekly", {"days": [["mon"]]}, "cycle_value.days", "unknown_weekday"),
        ("weekly", {"days": ["mon", "mon"]}, "cycle_value.days", "repeated"),
        ("weekly", {"days": ["mon"], "every": 0}, "cycle_value.every", "out_of_range"),
        ("weekly", {"days": ["mon"], "every": True}, "cycle_value.every", "out_of_range"),
        ("weekly", {"days": ["mon"], "every": 10**400}, "cycle_value.every", "out_of_range"),
        ("weekly", {"days": ["mon"], "evrey": 2}, "cycle_value.evrey", "unknown_key"),
        ("hourly", None, "cycle_type", "not_supported"),
    ],
)
def test_a_malformed_cycle_names_the_field_and_the_reason(
    cycle_type: str, value: Any, field: str, code: str
) -> None:
    with pytest.raises(InvalidCycle) as error:
        parse_cycle(cycle_type, value)
    assert (error.value.field, error.value.code) == (field, code)
