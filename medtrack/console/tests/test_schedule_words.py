from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from dosing.cycle_values import WEEKDAYS, parse_cycle
from medtrack.console.patient.schedule_words import amount, in_words, span

EIGHT, TWENTY = time(8), time(20)
TAPER = {"steps": [{"days": 5, "quantity": "2"}, {"days": 1, "quantity": "0.5"}]}

CASES: list[tuple[str, Any, list[time], str, str]] = [
    ("daily", None, [EIGHT], "every day 08:00", "매일 08:00"),
    ("daily", None, [TWENTY, EIGHT], "every day 08:00 and 20:00", "매일 08:00, 20:00"),
    (
        "weekly",
        {"days": ["fri", "mon", "wed"]},
        [EIGHT, TWENTY],
        "Mon, Wed, Fri 08:00 and 20:00",
        "월, 수, 금 08:00, 20:00",
    ),
    ("weekly", {"days": ["sun"], "every": 2}, [EIGHT], "every 2 weeks: Sun 08:00", "2주마다 일 08:00"),
    ("weekly", {"days": list(WEEKDAYS)}, [EIGHT], "every day 08:00", "매일 08:00"),
    ("interval", {"every": 3}, [EIGHT], "every 3 days 08:00", "3일마다 08:00"),
    ("interval", {"every": 1}, [EIGHT], "every day 08:00", "매일 08:00"),
    (
        "on_off",
        {"on": 21, "off": 7},
        [EIGHT],
        "every day 08:00, 21 days on / 7 off",
        "매일 08:00, 21일 복용 / 7일 휴약",
    ),
    ("monthly", {"days": [15, 1]}, [EIGHT], "monthly on days 1 and 15, 08:00", "매월 1, 15일 08:00"),
    (
        "monthly",
        {"days": [31]},
        [EIGHT],
        "monthly on day 31, 08:00 (in shorter months on the last day)",
        "매월 31일 08:00 (없는 날짜는 그달 마지막 날)",
    ),
    (
        "dates",
        {"dates": ["2026-12-03", "2026-12-01"]},
        [EIGHT],
        "on Dec. 1, 2026 and Dec. 3, 2026, 08:00",
        "2026년 12월 1일, 2026년 12월 3일, 08:00",
    ),
    (
        "dates",
        {"dates": [f"2026-12-{day:02}" for day in range(1, 13)]},
        [EIGHT],
        "on 12 dates from Dec. 1, 2026 to Dec. 12, 2026, 08:00",
        "2026년 12월 1일부터 2026년 12월 12일까지 지정한 12일, 08:00",
    ),
    (
        "taper",
        TAPER,
        [EIGHT],
        "every day 08:00: 5 days of 2 tablet, then 1 day of 0.5 tablet",
        "매일 08:00: 2 tablet씩 5일, 이후 0.5 tablet씩 1일",
    ),
    ("as_needed", None, [EIGHT], "as needed", "필요할 때"),
    (
        "as_needed",
        {"min_gap_minutes": 270, "max_per_day": 4},
        [EIGHT],
        "as needed, at least 4 hours 30 minutes apart, at most 4 times a day",
        "필요할 때, 최소 4시간 30분 간격, 하루 최대 4회",
    ),
]


@pytest.mark.parametrize(("cycle_type", "value", "times", "english", "korean"), CASES)
def test_a_schedule_is_said_as_one_would_say_it(
    cycle_type: str, value: Any, times: list[time], english: str, korean: str
) -> None:
    cycle = parse_cycle(cycle_type, value)
    for language, words in (("en", english), ("ko", korean)):
        with translation.override(language):
            assert in_words(cycle, times, unit="tablet") == words


def test_every_kind_of_cycle_is_among_the_cases() -> None:
    kinds = {"daily", "weekly", "interval", "on_off", "monthly", "dates", "taper", "as_needed"}
    assert {case[0] for case in CASES} == kinds


def test_numbers_are_said_without_what_the_database_keeps() -> None:
    assert amount(Decimal("1.500"), "tablet") == "1.5 tablet"
    assert amount(Decimal("100.000"), "") == "100"
    assert amount(Decimal("2.000"), "정") == "2정"


def test_a_gap_is_said_by_the_largest_units_that_fit() -> None:
    with translation.override("en"):
        assert span(timedelta(minutes=1)) == "1 minute"
        assert span(timedelta(minutes=60)) == "1 hour"
        assert span(timedelta(days=7)) == "168 hours"


def _distinct(entries: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(entries, min_size=1, max_size=most, unique=True)


_period = st.integers(1, 366)
_quantities = st.decimals("0.001", "999999.999", places=3).map(lambda number: f"{number:f}")
_days_between = st.dates(date(1900, 1, 1), date(2199, 12, 31)).map(str)
VALID = st.one_of(
    st.tuples(st.just("daily"), st.none()),
    st.tuples(
        st.just("weekly"),
        st.fixed_dictionaries(
            {"days": _distinct(st.sampled_from(WEEKDAYS), 7)}, optional={"every": st.integers(1, 52)}
        ),
    ),
    st.tuples(st.just("interval"), st.fixed_dictionaries({"every": _period})),
    st.tuples(st.just("on_off"), st.fixed_dictionaries({"on": _period, "off": _period})),
    st.tuples(st.just("monthly"), st.fixed_dictionaries({"days": _distinct(st.integers(1, 31), 31)})),
    st.tuples(st.just("dates"), st.fixed_dictionaries({"dates": _distinct(_days_between, 20)})),
    st.tuples(
        st.just("taper"),
        st.fixed_dictionaries(
            {
                "steps": st.lists(
                    st.fixed_dictionaries({"days": _period, "quantity": _quantities}), min_size=1, max_size=50
                )
            }
        ),
    ),
    st.tuples(
        st.just("as_needed"),
        st.none()
        | st.fixed_dictionaries(
            {}, optional={"min_gap_minutes": st.integers(1, 10080), "max_per_day": st.integers(1, 100)}
        ),
    ),
)


@given(
    VALID,
    st.lists(st.times(), min_size=1, max_size=4),
    st.text(max_size=30),
    st.sampled_from(["en", "ko", "ja"]),
)
def test_every_valid_cycle_can_be_said(
    cycle: tuple[str, Any], times: list[time], unit: str, language: str
) -> None:
    with translation.override(language):
        words = in_words(parse_cycle(*cycle), times, unit=unit)
    assert words
    assert "%(" not in words.replace(unit, "") or "%(" in unit
