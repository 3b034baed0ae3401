"""The arithmetic against independent oracles: a brute-force walk over days, and over minutes for gaps."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from dateutil.rrule import WEEKLY, rrule
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dosing.cycle_values import WEEKDAYS, InvalidCycle, parse_cycle
from dosing.cycles import Rule, due_instant, occurrence_on, occurrences

# Together at least 20,000 cases a run.
EXAMPLES = 10_000
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


@settings(max_examples=EXAMPLES, deadline=None)
@given(day=DATES, at=TIMES, zone=ZONES)
@example(date(2026, 3, 8), time(2, 30), ZoneInfo("America/New_York"))
@example(date(2026, 11, 1), time(1, 30), ZoneInfo("America/New_York"))
@example(date(2024, 11, 3), time(1, 0, fold=1), ZoneInfo("America/Menominee"))
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


QUANTITIES = st.decimals("0.001", "99", places=3)
DAYS_OFF = st.integers(-40, 400)


@st.composite
def cycles(draw: st.DrawFn, start: date) -> tuple[str, Any]:
    """A cycle type and a value of it that the contract allows."""
    lists: Any = {"min_size": 1, "max_size": 5, "unique": True}
    values: dict[str, st.SearchStrategy[Any]] = {
        "daily": st.none(),
        "weekly": st.fixed_dictionaries(
            {"days": st.lists(st.sampled_from(WEEKDAYS), **lists)}, optional={"every": st.integers(1, 6)}
        ),
        "interval": st.fixed_dictionaries({"every": st.integers(1, 40)}),
        "on_off": st.fixed_dictionaries({"on": st.integers(1, 30), "off": st.integers(1, 30)}),
        "monthly": st.fixed_dictionaries({"days": st.lists(st.integers(1, 31), **lists)}),
        "dates": st.fixed_dictionaries(
            {"dates": st.lists(DAYS_OFF.map(lambda n: (start + timedelta(days=n)).isoformat()), **lists)}
        ),
        "taper": st.fixed_dictionaries(
            {
                "steps": st.lists(
                    st.fixed_dictionaries({"days": st.integers(1, 20), "quantity": QUANTITIES.map(str)}),
                    min_size=1,
                    max_size=4,
                )
            }
        ),
        "as_needed": st.fixed_dictionaries({}, optional={"max_per_day": st.integers(1, 9)}),
    }
    cycle_type = draw(st.sampled_from(sorted(values)))
    return cycle_type, draw(values[cycle_type])


def falls_on(cycle_type: str, value: Any, day: date, start: date) -> bool:
    """The contract's table of cycles, one date at a time and with none of the code's arithmetic."""
    if cycle_type == "daily":
        return True
    if cycle_type == "weekly":
        rule = rrule(
            WEEKLY,
            dtstart=datetime.combine(start - timedelta(days=start.weekday()), time()),
            interval=value.get("every", 1),
            byweekday=[WEEKDAYS.index(name) for name in value["days"]],
            until=datetime.combine(day, time()),
        )
        return bool(datetime.combine(day, time()) in rule)
    if cycle_type == "interval":
        return bool((day - start).days % value["every"] == 0)
    if cycle_type == "on_off":
        pattern = [True] * value["on"] + [False] * value["off"]
        return pattern[(day - start).days % len(pattern)]
    if cycle_type == "monthly":
        is_last = (day + timedelta(days=1)).month != day.month
        return bool(day.day in value["days"] or (is_last and max(value["days"]) > day.day))
    if cycle_type == "dates":
        return bool(day.isoformat() in value["dates"])
    if cycle_type == "taper":
        return bool((day - start).days < sum(step["days"] for step in value["steps"]))
    return False


def quantity_on(cycle_type: str, value: Any, day: date, start: date) -> Decimal:
    if cycle_type != "taper":
        return Decimal(1)
    unrolled = [step["quantity"] for step in value["steps"] for _ in range(step["days"])]
    return Decimal(unrolled[(day - start).days])


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    data=st.data(),
    at=TIMES,
    zone=ZONES,
    start=DATES,
    length=st.integers(0, 400) | st.none(),
    offset=st.integers(-30, 400),
)
def test_occurrences_are_those_of_a_walk_over_every_date(
    data: st.DataObject, at: time, zone: ZoneInfo, start: date, length: int | None, offset: int
) -> None:
    cycle_type, value = data.draw(cycles(start))
    end = None if length is None else start + timedelta(days=length)
    since = datetime.combine(start, time(), tzinfo=UTC) + timedelta(days=offset, hours=5)
    until = since + timedelta(days=45)
    rule = Rule(parse_cycle(cycle_type, value), at, start, end, Decimal(1))
    found = list(takewhile(lambda o: o.due_at < until, occurrences(rule, zone=zone, since=since)))

    days = [since.date() + timedelta(days=n) for n in range(-3, 50)]
    expected = [
        (day, due, quantity_on(cycle_type, value, day, start))
        for day in days
        if day >= start and (end is None or day <= end) and falls_on(cycle_type, value, day, start)
        if since <= (due := due_instant(day, at, zone)) < until
    ]
    assert [(o.log_date, o.due_at, o.quantity) for o in found] == expected
    each_day = [occurrence_on(rule, day, zone=zone) for day in days]
    assert [o for o in each_day if o and since <= o.due_at < until] == found


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
        ("dates", {"dates": [f"2027-01-{n}" for n in range(401)]}, "cycle_value.dates", "too_many"),
        ("taper", {"steps": [{"days": 1, "quantity": "1"}] * 51}, "cycle_value.steps", "too_many"),
        (
            "taper",
            {"steps": [{"days": 1, "quantity": "1." + "0" * 20_000}]},
            "cycle_value.steps.0.quantity",
            "malformed",
        ),
        ("taper", {"steps": [{"days": 1, "quantity": "1_0"}]}, "cycle_value.steps.0.quantity", "malformed"),
        ("taper", {"steps": [{"days": 1, "quantity": "+1"}]}, "cycle_value.steps.0.quantity", "malformed"),
        ("taper", {"steps": [{"days": 1, "quantity": "1e1"}]}, "cycle_value.steps.0.quantity", "malformed"),
        ("weekly", {"days": "mon"}, "cycle_value.days", "required"),
        ("weekly", {"days": ["monday"]}, "cycle_value.days.0", "unknown_weekday"),
        ("weekly", {"days": [["mon"]]}, "cycle_value.days.0", "malformed"),
        ("weekly", {"days": ["mon", "mon"]}, "cycle_value.days.1", "repeated"),
        ("weekly", {"days": ["mon"], "every": 0}, "cycle_value.every", "out_of_range"),
        ("weekly", {"days": ["mon"], "every": True}, "cycle_value.every", "out_of_range"),
        ("weekly", {"days": ["mon"], "every": 10**400}, "cycle_value.every", "out_of_range"),
        ("weekly", {"days": ["mon"], "evrey": 2}, "cycle_value.evrey", "unknown_key"),
        ("interval", {}, "cycle_value.every", "out_of_range"),
        ("interval", {"every": 1.5}, "cycle_value.every", "out_of_range"),
        ("on_off", {"on": 21}, "cycle_value.off", "out_of_range"),
        ("on_off", {"on": 0, "off": 7}, "cycle_value.on", "out_of_range"),
        ("monthly", {"days": [0]}, "cycle_value.days.0", "out_of_range"),
        ("monthly", {"days": [1, 32]}, "cycle_value.days.1", "out_of_range"),
        ("monthly", {"days": ["1"]}, "cycle_value.days.0", "out_of_range"),
        ("monthly", {"days": [None]}, "cycle_value.days.0", "malformed"),
        ("dates", {"dates": ["2026-02-30"]}, "cycle_value.dates.0", "malformed"),
        ("dates", {"dates": ["20261201"]}, "cycle_value.dates.0", "malformed"),
        ("dates", {"dates": [20261201]}, "cycle_value.dates.0", "malformed"),
        ("dates", {"dates": ["2026-12-01"] * 2}, "cycle_value.dates.1", "repeated"),
        ("taper", {"steps": []}, "cycle_value.steps", "required"),
        ("taper", {"steps": [7]}, "cycle_value.steps.0", "must_be_object"),
        ("taper", {"steps": [{"days": 5}]}, "cycle_value.steps.0.quantity", "malformed"),
        ("taper", {"steps": [{"days": 5, "quantity": 2}]}, "cycle_value.steps.0.quantity", "malformed"),
        ("taper", {"steps": [{"days": 5, "quantity": "NaN"}]}, "cycle_value.steps.0.quantity", "malformed"),
        ("taper", {"steps": [{"days": 5, "quantity": "two"}]}, "cycle_value.steps.0.quantity", "malformed"),
        ("taper", {"steps": [{"days": 5, "quantity": "0"}]}, "cycle_value.steps.0.quantity", "out_of_range"),
        (
            "taper",
            {"steps": [{"days": 5, "quantity": "1e99"}]},
            "cycle_value.steps.0.quantity",
            "malformed",
        ),
        (
            "taper",
            {"steps": [{"days": 5, "quantity": "0.0001"}]},
            "cycle_value.steps.0.quantity",
            "malformed",
        ),
        ("taper", {"steps": [{"days": 0, "quantity": "1"}]}, "cycle_value.steps.0.days", "out_of_range"),
        ("as_needed", {"min_gap_minutes": 0}, "cycle_value.min_gap_minutes", "out_of_range"),
        ("as_needed", {"max_per_day": -1}, "cycle_value.max_per_day", "out_of_range"),
        ("hourly", None, "cycle_type", "not_supported"),
    ],
)
def test_a_malformed_cycle_names_the_field_and_the_reason(
    cycle_type: str, value: Any, field: str, code: str
) -> None:
    with pytest.raises(InvalidCycle) as error:
        parse_cycle(cycle_type, value)
    assert (error.value.field, error.value.code) == (field, code)
