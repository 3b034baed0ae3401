"""`medtrack_falls_on` in SQL against the cycles in Python."""

import json
from datetime import date, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dosing.cycle_values import WEEKDAYS, parse_cycle
from dosing.cycles import Rule, occurrence_on

CYCLES: dict[str, st.SearchStrategy[Any]] = {
    "daily": st.none(),
    "weekly": st.fixed_dictionaries(
        {"days": st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=7, unique=True)},
        optional={"every": st.integers(1, 52)},
    ),
    "interval": st.fixed_dictionaries({"every": st.integers(1, 366)}),
    "on_off": st.fixed_dictionaries({"on": st.integers(1, 366), "off": st.integers(1, 366)}),
    "monthly": st.fixed_dictionaries(
        {"days": st.lists(st.integers(1, 31), min_size=1, max_size=31, unique=True)}
    ),
    "dates": st.fixed_dictionaries(
        {
            "dates": st.lists(
                st.dates(date(2026, 1, 1), date(2028, 12, 31)).map(str), min_size=1, max_size=99, unique=True
            )
        }
    ),
    "taper": st.fixed_dictionaries(
        {
            "steps": st.lists(
                st.fixed_dictionaries({"days": st.integers(1, 366), "quantity": st.just("1")}),
                min_size=1,
                max_size=50,
            )
        }
    ),
    "as_needed": st.just({"max_per_day": 3}),
}


ANY_CYCLE = st.sampled_from(sorted(CYCLES)).flatmap(lambda name: st.tuples(st.just(name), CYCLES[name]))


@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(cycle=ANY_CYCLE, start=st.dates(date(2026, 1, 1), date(2028, 12, 31)), offset=st.integers(-9, 800))
@example(cycle=("monthly", {"days": [31]}), start=date(2028, 2, 1), offset=0)
def test_sql_and_python_agree_on_the_dates_of_every_cycle(
    db: None, cycle: tuple[str, Any], start: date, offset: int
) -> None:
    name, value = cycle
    first = start + timedelta(days=offset)
    rule = Rule(parse_cycle(name, value), time(8), start, None, 1)  # type: ignore[arg-type]
    days = [first + timedelta(days=number) for number in range(60)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(day) FROM unnest(%s::date[]) AS day WHERE medtrack_falls_on(%s, %s, %s, day)",
            [days, name, None if value is None else json.dumps(value), start],
        )
        (in_sql,) = cursor.fetchone()
    in_python = [day for day in days if occurrence_on(rule, day, zone=ZoneInfo("UTC"))]
    assert (in_sql or []) == in_python


@pytest.mark.parametrize("name", [*CYCLES, "unheard_of"])
@pytest.mark.parametrize("value", ['7', '[]', '{}', '{"every": "x", "days": {"a": 1}, "steps": 3}', '{"on": 1e9, "off": null, "every": 0, "dates": 7, "days": "31", "steps": [{"days": -1}]}'])  # fmt: skip
def test_a_damaged_cycle_falls_on_no_date_and_breaks_nothing(db: None, name: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT medtrack_falls_on(%s, %s, '2026-11-01', '2026-11-30')", [name, value])
        (falls,) = cursor.fetchone()
    assert falls is (name == "daily")
