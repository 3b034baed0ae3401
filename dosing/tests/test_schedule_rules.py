"""What an error of a schedule says would have been right."""

from datetime import date, time
from typing import Any

import pytest
from django.utils import translation
from jsonschema import Draft4Validator
from rest_framework.exceptions import ValidationError

from dosing.cycle_schemas import CYCLE_VALUE, VALUES
from dosing.cycle_values import EXAMPLES, parse_cycle
from dosing.models import Schedule
from dosing.schedule_rules import check
from medtrack.tests.support.api import SCHEMA

KO_DATE = "형식은 YYYY-MM-DD이고 1900년부터 2199년까지입니다. 예: 2026-12-01"


def errors(cycle_type: str, cycle_value: Any, language: str = "en", **fields: Any) -> dict[str, str]:
    fields = {"scheduled_time": time(8), "start_date": date(2026, 12, 1)} | fields
    with translation.override(language), pytest.raises(ValidationError) as refused:
        check(Schedule(cycle_type=cycle_type, cycle_value=cycle_value, **fields))
    found: Any = refused.value.detail
    return {field: str(detail) for field, (detail,) in found.items()}


@pytest.mark.parametrize(
    ("cycle_type", "cycle_value", "field", "words"),
    [
        ("hourly", None, "cycle_type", ["daily", "on_off", "as_needed"]),
        ("daily", {}, "cycle_value", ["null"]),
        ("weekly", None, "cycle_value", ['{"days": ["mon", "wed"], "every": 1}']),
        ("taper", {"steps": [7]}, "cycle_value.steps.0", ['{"days": 5, "quantity": "2"}']),
        ("weekly", {"days": []}, "cycle_value.days", ["1 to 7", '["mon", "wed"]']),
        ("dates", {"dates": ["2026-12-01"] * 401}, "cycle_value.dates", ["1 to 400"]),
        ("weekly", {"evrey": 2}, "cycle_value.evrey", ["evrey", "days, every"]),
        ("taper", {"steps": [{"x": 1}]}, "cycle_value.steps.0.x", ["days, quantity"]),
        ("weekly", {"days": ["mo"]}, "cycle_value.days.0", ["mon, tue, wed, thu, fri, sat, sun"]),
        ("weekly", {"days": [["mon"]]}, "cycle_value.days.0", ["mon, tue, wed, thu, fri, sat, sun"]),
        ("weekly", {"days": ["mon", "tue", "mon"]}, "cycle_value.days.2", ["mon"]),
        ("weekly", {"days": ["mon"], "every": 53}, "cycle_value.every", ["from 1 to 52"]),
        ("interval", {"every": 367}, "cycle_value.every", ["from 1 to 366"]),
        ("on_off", {"on": 0, "off": 1}, "cycle_value.on", ["from 1 to 366"]),
        ("monthly", {"days": [None]}, "cycle_value.days.0", ["from 1 to 31"]),
        ("monthly", {"days": [32]}, "cycle_value.days.0", ["from 1 to 31"]),
        ("dates", {"dates": ["1.12.2026"]}, "cycle_value.dates.0", ["YYYY-MM-DD", "2026-12-01"]),
        ("taper", {"steps": [{"days": 1, "quantity": 2}]}, "cycle_value.steps.0.quantity", ['"1.5"']),
        ("taper", {"steps": [{"days": 1, "quantity": "0"}]}, "cycle_value.steps.0.quantity", ["0", '"1.5"']),
        ("as_needed", {"min_gap_minutes": 0}, "cycle_value.min_gap_minutes", ["from 1 to 10080"]),
        ("as_needed", {"max_per_day": 101}, "cycle_value.max_per_day", ["from 1 to 100"]),
    ],
)
def test_an_error_of_a_cycle_says_what_would_have_been_right(
    cycle_type: str, cycle_value: Any, field: str, words: list[str]
) -> None:
    english = errors(cycle_type, cycle_value)
    assert english.keys() == {field}
    for word in words:
        assert word in english[field]
    for language in ("ko", "ja"):
        translated = errors(cycle_type, cycle_value, language)[field]
        assert translated != english[field]
        for bound in words:
            # English words are translated; numbers, keys and examples are the same in every language.
            parts = bound.replace("from ", "").split(" to ")
            assert all(part in translated for part in parts if not part.replace(" ", "").isalpha())


def test_a_time_of_day_is_asked_of_every_cycle_but_as_needed() -> None:
    for cycle_type, example in EXAMPLES.items():
        if cycle_type == "as_needed":
            check(Schedule(cycle_type=cycle_type, cycle_value=example, start_date=date(2026, 12, 1)))
        else:
            assert "08:30" in errors(cycle_type, example, scheduled_time=None)["scheduled_time"]


def test_an_end_before_the_start_names_the_earliest_end() -> None:
    refused = errors("daily", None, end_date=date(2026, 11, 30))
    assert refused == {"end_date": "The end is before the start. The earliest end is 2026-12-01."}


def test_korean_has_the_format_and_an_example() -> None:
    assert errors("dates", {"dates": ["x"]}, "ko") == {"cycle_value.dates.0": KO_DATE}
    assert (
        "형식은 HH:MM입니다. 예: 08:30" in errors("daily", None, "ko", scheduled_time=None)["scheduled_time"]
    )


def test_every_cycle_has_an_example_that_can_be_parsed() -> None:
    assert list(EXAMPLES) == Schedule.CycleType.values
    for cycle_type, example in EXAMPLES.items():
        parse_cycle(cycle_type, example)


def test_the_description_has_a_component_for_every_cycle_and_takes_what_can_be_parsed() -> None:
    parsers = {
        cycle_type: Draft4Validator(
            {"$ref": f"#/components/schemas/{name}", "components": SCHEMA["components"]}
        )
        for cycle_type, (name, _schema) in VALUES.items()
    }
    assert list(parsers) == list(EXAMPLES)
    either = Draft4Validator(CYCLE_VALUE | {"components": SCHEMA["components"]})
    for cycle_type, validator in parsers.items():
        assert validator.is_valid(EXAMPLES[cycle_type])
        assert either.is_valid(EXAMPLES[cycle_type])
        assert not validator.is_valid({"nonsense": 1})
        assert [name for name in parsers if parsers[name].is_valid(EXAMPLES[cycle_type])] == [cycle_type]


@pytest.mark.parametrize(
    ("cycle_type", "value"),
    [
        ("weekly", {"days": ["mon"] * 2}),
        ("weekly", {"days": ["mon"], "every": 53}),
        ("interval", {"every": 367}),
        ("on_off", {"on": 1}),
        ("monthly", {"days": [32]}),
        ("dates", {"dates": ["1.12.2026"]}),
        ("taper", {"steps": [{"days": 1, "quantity": 2}]}),
        ("as_needed", {"max_per_day": 101}),
    ],
)
def test_the_description_refuses_what_the_rules_refuse(cycle_type: str, value: Any) -> None:
    assert errors(cycle_type, value)
    assert not Draft4Validator(CYCLE_VALUE | {"components": SCHEMA["components"]}).is_valid(value)
