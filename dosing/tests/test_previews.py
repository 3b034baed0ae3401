"""Previews against the contract's table of cycles and a walk through the minutes of every zone."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from dosing.cycle_values import WEEKDAYS, parse_cycle
from dosing.cycles import Rule
from dosing.previews import CloserThanUsual, MovedByDst, Preview, PreviewWarning, preview
from dosing.tests.test_cycles import DATES, ZONES, cycles, falls_on, first_instant_by_walk, quantity_on

NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
# Where wall clocks are skipped, at the hours at which they are.
CHANGING = st.sampled_from(
    [
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Cairo",
        "America/Nuuk",
        "Europe/London",
        "Asia/Beirut",
    ]
).map(ZoneInfo)
SMALL_HOURS = st.builds(time, st.sampled_from([0, 1, 2, 3, 23]), st.sampled_from([0, 15, 30]))
TIMES = st.one_of(SMALL_HOURS, st.builds(time, st.integers(0, 23), st.integers(0, 59)))
CHANGES = st.builds(date, st.integers(2024, 2034), st.sampled_from([3, 4, 9, 10]), st.integers(1, 28))


def rule(at: time, start: date, *, cycle: str = "daily", value: Any = None, end: date | None = None) -> Rule:
    return Rule(parse_cycle(cycle, value), at, start, end, Decimal(1))


def days_apart(rule: Rule, zone: str, first: date, last: date) -> list[tuple[date, float, float]]:
    """The warnings that doses are closer than usual, in days."""
    warnings = preview(rule, zone=ZoneInfo(zone), first=first, last=last).warnings
    day = timedelta(days=1)
    return [(w.log_date, w.elapsed / day, w.usual / day) for w in warnings if isinstance(w, CloserThanUsual)]


def moved(found: Preview) -> list[tuple[date, str]]:
    return [(w.log_date, f"{w.due_at_local:%d %H:%M}") for w in found.warnings if isinstance(w, MovedByDst)]


def test_a_time_that_does_not_exist_is_moved_and_both_gaps_around_it_are_short() -> None:
    found = preview(
        rule(time(2, 30), date(2027, 3, 1)), zone=NEW_YORK, first=date(2027, 3, 13), last=date(2027, 3, 16)
    )
    assert [f"{dose.due_at:%d %H:%M}" for dose in found.results] == [
        "13 07:30",
        "14 07:00",
        "15 06:30",
        "16 06:30",
    ]
    assert [dose.due_at_local.isoformat() for dose in found.results[:2]] == [
        "2027-03-13T02:30:00-05:00",
        "2027-03-14T03:00:00-04:00",
    ]
    assert [(w.code, w.log_date.day) for w in found.warnings] == [
        ("moved_by_dst", 14),
        ("closer_than_usual", 14),
        ("closer_than_usual", 15),
    ]
    assert [w.detail for w in found.warnings[:2]] == [
        "The clocks change: 02:30 does not exist on this day, so the dose is due at 03:00.",
        "23 hours 30 minutes after the dose before; usually it is 24 hours.",
    ]


def test_a_time_that_exists_is_not_moved_but_closer_on_the_day_of_the_change() -> None:
    found = preview(
        rule(time(8), date(2027, 3, 1)), zone=NEW_YORK, first=date(2027, 3, 13), last=date(2027, 3, 16)
    )
    assert [(w.log_date, w.detail) for w in found.warnings] == [
        (date(2027, 3, 14), "23 hours after the dose before; usually it is 24 hours.")
    ]


def test_a_time_that_exists_twice_gives_no_warning_then_and_none_after() -> None:
    found = preview(
        rule(time(1, 30), date(2027, 11, 1)), zone=NEW_YORK, first=date(2027, 11, 6), last=date(2027, 11, 9)
    )
    assert found.warnings == []
    assert [dose.due_at_local.isoformat() for dose in found.results[1:3]] == [
        "2027-11-07T01:30:00-04:00",
        "2027-11-08T01:30:00-05:00",
    ]


@pytest.mark.parametrize(
    ("zone", "at", "day", "due"),
    [
        ("Australia/Lord_Howe", time(2, 15), date(2026, 10, 4), "04 02:30"),
        ("Africa/Cairo", time(0, 0), date(2026, 4, 24), "24 01:00"),
        ("America/Nuuk", time(23, 30), date(2026, 3, 28), "29 00:00"),
        ("Pacific/Apia", time(8, 0), date(2011, 12, 30), "31 00:00"),
    ],
)
def test_gaps_of_every_kind_move_the_dose_to_their_end(zone: str, at: time, day: date, due: str) -> None:
    found = preview(rule(at, date(2011, 1, 1)), zone=ZoneInfo(zone), first=day, last=day)
    assert moved(found) == [(day, due)]


def test_half_an_hour_less_on_lord_howe_is_said_to_the_minute() -> None:
    day = date(2026, 10, 4)
    found = preview(rule(time(8), date(2026, 1, 1)), zone=LORD_HOWE, first=day, last=day)
    assert [w.detail for w in found.warnings] == [
        "23 hours 30 minutes after the dose before; usually it is 24 hours."
    ]


def test_a_dose_that_a_gap_moves_into_the_next_day_says_which_day() -> None:
    day = date(2026, 3, 28)
    found = preview(rule(time(23, 30), day), zone=ZoneInfo("America/Nuuk"), first=day, last=day)
    assert [w.detail for w in found.warnings] == [
        "The clocks change: 23:30 does not exist on this day, so the dose is due at 2026-03-29 00:00."
    ]


def test_a_date_that_was_skipped_shares_its_instant_with_the_next_at_midnight() -> None:
    apia = rule(time(0), date(2011, 12, 1))
    assert days_apart(apia, "Pacific/Apia", date(2011, 12, 29), date(2012, 1, 1)) == [
        (date(2011, 12, 31), 0.0, 1.0)
    ]


def test_the_end_of_february_comes_closer_than_the_ends_of_other_months() -> None:
    ends = rule(time(8), date(2026, 1, 1), cycle="monthly", value={"days": [15, 30]})
    assert days_apart(ends, "UTC", date(2026, 1, 1), date(2026, 12, 31)) == [(date(2026, 2, 28), 13.0, 15.0)]
    assert days_apart(ends, "UTC", date(2028, 1, 1), date(2028, 12, 31)) == [(date(2028, 2, 29), 14.0, 15.0)]


def test_the_days_of_a_long_gap_are_said_as_days() -> None:
    ends = rule(time(8), date(2026, 1, 1), cycle="monthly", value={"days": [15, 30]})
    found = preview(ends, zone=ZoneInfo("UTC"), first=date(2026, 2, 20), last=date(2026, 2, 28))
    assert found.warnings[0].detail == "13 days after the dose before; usually it is 15 days."
    weekly = rule(time(8), date(2027, 3, 1), cycle="weekly", value={"days": ["mon"]})
    found = preview(weekly, zone=NEW_YORK, first=date(2027, 3, 15), last=date(2027, 3, 15))
    assert found.warnings[0].detail == "6 days 23 hours after the dose before; usually it is 7 days."
    other_day = rule(time(8), date(2027, 3, 12), cycle="interval", value={"every": 2})
    found = preview(other_day, zone=NEW_YORK, first=date(2027, 3, 14), last=date(2027, 3, 14))
    assert found.warnings[0].detail == "47 hours after the dose before; usually it is 2 days."


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "ko",
            [
                "이날은 시계 조정(서머타임 등)으로 02:30 시각이 존재하지 않아 03:00에 복용하게 됩니다.",
                "이전 복용 후 23시간 30분 만입니다. 보통은 24시간 간격입니다.",
            ],
        ),
        (
            "ja",
            [
                "時刻の切り替え（夏時間など）により、この日は02:30が存在しないため、服用時刻は03:00になります。",
                "前回の服用から23時間30分後です。通常は24時間の間隔です。",
            ],
        ),
    ],
)
def test_warnings_are_in_the_language_of_whoever_reads_them(language: str, words: list[str]) -> None:
    day = date(2027, 3, 14)
    found = preview(rule(time(2, 30), date(2027, 3, 1)), zone=NEW_YORK, first=day, last=day)
    with translation.override(language):
        assert [warning.detail for warning in found.warnings] == words


@pytest.mark.parametrize(("start", "warned"), [(date(2027, 3, 13), 1), (date(2027, 3, 14), 0)])
def test_the_dose_before_counts_also_when_it_lies_before_the_preview(start: date, warned: int) -> None:
    day = date(2027, 3, 14)
    assert len(days_apart(rule(time(8), start), "America/New_York", day, day)) == warned


@pytest.mark.parametrize("every", [1, 7, 132])
def test_the_dose_before_is_found_however_long_the_cycle(every: int) -> None:
    day = date(2027, 3, 14)
    long = rule(time(8), day - timedelta(days=every), cycle="interval", value={"every": every})
    assert len(days_apart(long, "America/New_York", day, day)) == 1


def test_dates_have_no_usual_gap_and_as_needed_has_no_dates() -> None:
    dates = rule(time(8), date(2026, 1, 1), cycle="dates", value={"dates": ["2026-01-01", "2026-01-02"]})
    found = preview(dates, zone=ZoneInfo("UTC"), first=date(2026, 1, 1), last=date(2026, 1, 31))
    assert (len(found.results), found.warnings) == (2, [])
    needed = rule(time(8), date(2026, 1, 1), cycle="as_needed")
    assert preview(needed, zone=ZoneInfo("UTC"), first=date(2026, 1, 1), last=date(2026, 12, 31)) == Preview(
        [], []
    )


def test_the_first_and_the_last_date_and_the_quantity_of_each_are_those_of_the_rule() -> None:
    steps = {"steps": [{"days": 2, "quantity": "2"}, {"days": 2, "quantity": "0.5"}]}
    taper = rule(time(8), date(2026, 1, 2), cycle="taper", value=steps, end=date(2026, 1, 4))
    found = preview(taper, zone=ZoneInfo("UTC"), first=date(2026, 1, 1), last=date(2026, 1, 31))
    assert [(dose.log_date.day, str(dose.quantity)) for dose in found.results] == [
        (2, "2"),
        (3, "2"),
        (4, "0.5"),
    ]


@pytest.mark.parametrize(
    ("cycle", "value", "days"),
    [
        ("daily", None, 1),
        ("taper", {"steps": [{"days": 1, "quantity": "1"}]}, 1),
        ("interval", {"every": 3}, 3),
        ("on_off", {"on": 21, "off": 7}, 1),
        ("on_off", {"on": 1, "off": 3}, 4),
        ("weekly", {"days": ["mon"]}, 7),
        ("weekly", {"days": ["mon", "thu"]}, 3),
        ("weekly", {"days": ["sun", "mon"]}, 1),
        ("weekly", {"days": ["sun", "mon"], "every": 2}, 6),
        ("weekly", {"days": ["wed"], "every": 3}, 21),
        ("monthly", {"days": [1]}, 28),
        ("monthly", {"days": [31]}, 31),
        ("monthly", {"days": [15, 30]}, 15),
        ("monthly", {"days": [30, 15]}, 15),
        ("monthly", {"days": [1, 31]}, 1),
        ("monthly", {"days": [5, 25]}, 8),
        ("dates", {"dates": ["2026-01-01"]}, None),
        ("as_needed", None, None),
    ],
)
def test_the_usual_gap_of_every_cycle(cycle: str, value: Any, days: int | None) -> None:
    assert parse_cycle(cycle, value).usual_gap() == (None if days is None else timedelta(days=days))


def usual_days(cycle_type: str, value: Any, start: date) -> int | None:
    """The usual gap, read off the dates themselves; a month by its longest form and February's end."""
    if cycle_type in ("dates", "as_needed"):
        return None
    if cycle_type == "monthly":
        numbers: list[int] = sorted(value["days"])
        month = [later - number for number, later in pairwise(numbers)]
        return min([*month, numbers[0] if numbers[-1] >= 28 else 28 - numbers[-1] + numbers[0]])
    if cycle_type == "weekly":
        weeks = (0, value.get("every", 1))
        numbers = sorted(7 * week + WEEKDAYS.index(name) for week in weeks for name in value["days"])
    else:
        numbers = [n for n in range(90) if falls_on(cycle_type, value, start + timedelta(days=n), start)]
    return min((later - number for number, later in pairwise(numbers)), default=1)


@settings(max_examples=600, deadline=None)
@given(
    data=st.data(),
    at=TIMES,
    zone=st.one_of(ZONES, CHANGING),
    first=st.one_of(DATES, CHANGES),
    length=st.integers(0, 40),
    age=st.integers(-5, 70),
    end=st.integers(0, 80) | st.none(),
)
def test_a_preview_is_that_of_a_walk_over_dates_and_minutes(
    data: st.DataObject,
    at: time,
    zone: ZoneInfo,
    first: date,
    length: int,
    age: int,
    end: int | None,
) -> None:
    start, last = first - timedelta(days=age), first + timedelta(days=length)
    cycle_type, value = data.draw(cycles(start))
    end_date = None if end is None else start + timedelta(days=end)
    found = preview(
        Rule(parse_cycle(cycle_type, value), at, start, end_date, Decimal(1)),
        zone=zone,
        first=first,
        last=last,
    )

    days = [start + timedelta(days=n) for n in range((last - start).days + 1)]
    lived = [
        (day, first_instant_by_walk(day, at, zone))
        for day in days
        if (end_date is None or day <= end_date) and falls_on(cycle_type, value, day, start)
    ]
    asked = [(day, due) for day, due in lived if day >= first]
    assert [(dose.log_date, dose.due_at, dose.quantity) for dose in found.results] == [
        (day, due, quantity_on(cycle_type, value, day, start)) for day, due in asked
    ]
    usual = usual_days(cycle_type, value, start)
    closer = [
        (day, (due - before).total_seconds())
        for (_day, before), (day, due) in pairwise(lived)
        if day >= first and usual is not None and (due - before).total_seconds() < usual * 86_400
    ]
    assert [(w.log_date, w.elapsed.total_seconds()) for w in of(CloserThanUsual, found)] == closer
    unreal = [day for day, _due in asked if not exists(datetime.combine(day, at), zone)]
    assert [w.log_date for w in of(MovedByDst, found)] == unreal


def of(kind: type[PreviewWarning], found: Preview) -> list[Any]:
    return [warning for warning in found.warnings if isinstance(warning, kind)]


def exists(wall: datetime, zone: ZoneInfo) -> bool:
    """Whether some instant shows this wall clock: by any of the offsets that hold within a day of it."""
    about = wall.replace(tzinfo=UTC)
    offsets = {
        (about + timedelta(hours=n)).astimezone(zone).utcoffset() or timedelta() for n in range(-48, 48)
    }
    return any((about - offset).astimezone(zone).replace(tzinfo=None) == wall for offset in offsets)
