"""Parses a schedule's `cycle_type` and `cycle_value` (JSON). A cycle that can be parsed can be planned."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from dosing.cycles import AsNeeded, Cycle, Daily, Dates, Interval, Monthly, OnOff, Taper, Weekly
from medtrack.http.formats import DATE, QUANTITY

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_DATES = 400
MAX_STEPS = 50
MAX_PERIOD_DAYS = 366
# How many characters of an unknown key an error contains.
_EXCERPT = 50


class InvalidCycle(ValueError):
    """The cycle cannot be parsed.

    `field` is the path of the value in the schedule, `code` says what is wrong.
    """

    def __init__(self, field: str, code: str) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code


def parse_cycle(cycle_type: str, value: Any) -> Cycle:
    """Returns the cycle of a `cycle_type` and its `cycle_value`. Raises InvalidCycle."""
    match cycle_type:
        case "daily":
            if value is not None:
                raise InvalidCycle("cycle_value", "must_be_null")
            return Daily()
        case "weekly":
            value = _object(value, "days", "every")
            days = _entries(value, "days", most=7)
            for index, day in enumerate(days):
                if day not in WEEKDAYS:
                    raise InvalidCycle(f"cycle_value.days.{index}", "unknown_weekday")
            every = _whole(value.get("every", 1), "every", 1, 52)
            return Weekly(frozenset(WEEKDAYS.index(day) for day in days), every)
        case "interval":
            value = _object(value, "every")
            return Interval(_whole(value.get("every"), "every", 1, MAX_PERIOD_DAYS))
        case "on_off":
            value = _object(value, "on", "off")
            return OnOff(*(_whole(value.get(key), key, 1, MAX_PERIOD_DAYS) for key in ("on", "off")))
        case "monthly":
            days = _entries(_object(value, "days"), "days", most=31)
            numbers = (_whole(day, f"days.{index}", 1, 31) for index, day in enumerate(days))
            return Monthly(tuple(sorted(numbers)))
        case "dates":
            texts = _entries(_object(value, "dates"), "dates", most=MAX_DATES)
            dates = (_date(text, f"dates.{index}") for index, text in enumerate(texts))
            return Dates(tuple(sorted(dates)))
        case "taper":
            return _taper(value)
        case "as_needed":
            # Without a value there are no limits.
            value = _object(
                {} if value is None else value, "min_gap_minutes", "max_per_day", "max_quantity_per_day"
            )
            gap, most = value.get("min_gap_minutes"), value.get("max_per_day")
            amount = value.get("max_quantity_per_day")
            return AsNeeded(
                None if gap is None else timedelta(minutes=_whole(gap, "min_gap_minutes", 1, 7 * 24 * 60)),
                None if most is None else _whole(most, "max_per_day", 1, 100),
                None if amount is None else _quantity(amount, "max_quantity_per_day"),
            )
    raise InvalidCycle("cycle_type", "not_supported")


def _taper(value: Any) -> Cycle:
    steps = _object(value, "steps").get("steps")
    if not isinstance(steps, list) or not steps:
        raise InvalidCycle("cycle_value.steps", "required")
    if len(steps) > MAX_STEPS:
        raise InvalidCycle("cycle_value.steps", "too_many")
    parsed = []
    for index, step in enumerate(steps):
        # An error names the step by its index, so that the app can mark the field.
        key = f"steps.{index}"
        step = _object(step, "days", "quantity", within=key)
        days = _whole(step.get("days"), f"{key}.days", 1, MAX_PERIOD_DAYS)
        parsed.append((days, _quantity(step.get("quantity"), f"{key}.quantity")))
    return Taper(tuple(parsed))


def _quantity(text: Any, key: str) -> Decimal:
    # A text, because a JSON number would be read as a float and lose digits.
    if not isinstance(text, str) or not QUANTITY.fullmatch(text):
        raise InvalidCycle(f"cycle_value.{key}", "malformed")
    # The pattern allows 0, which would be a dose of nothing.
    if not (quantity := Decimal(text)):
        raise InvalidCycle(f"cycle_value.{key}", "out_of_range")
    return quantity


def _object(value: Any, *keys: str, within: str = "") -> Mapping[str, Any]:
    path = f"cycle_value.{within}".rstrip(".")
    if not isinstance(value, dict):
        raise InvalidCycle(path, "must_be_object")
    # Stops at the first unknown key, so that a huge object is not read.
    if (unknown := next((key for key in value if key not in keys), None)) is not None:
        raise InvalidCycle(f"{path}.{unknown[:_EXCERPT]}", "unknown_key")
    return value


def _entries(value: Mapping[str, Any], key: str, *, most: int) -> list[Any]:
    """Returns the list under `key`: one to `most` texts or integers, none of them twice."""
    entries = value.get(key)
    if not isinstance(entries, list) or not entries:
        raise InvalidCycle(f"cycle_value.{key}", "required")
    if len(entries) > most:
        raise InvalidCycle(f"cycle_value.{key}", "too_many")
    seen: set[str | int] = set()
    for index, entry in enumerate(entries):
        # Checked before the set is asked: a list or an object cannot be looked up in it.
        if not isinstance(entry, str | int):
            raise InvalidCycle(f"cycle_value.{key}.{index}", "malformed")
        if entry in seen:
            raise InvalidCycle(f"cycle_value.{key}.{index}", "repeated")
        seen.add(entry)
    return entries


def _whole(number: Any, key: str, least: int, most: int) -> int:
    # In Python true and false are integers, in JSON they are not.
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise InvalidCycle(f"cycle_value.{key}", "out_of_range")
    return number


def _date(text: Any, key: str) -> date:
    try:
        # `fromisoformat` alone would also accept 20260131 and 2026-W05-6.
        if not DATE.fullmatch(text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise InvalidCycle(f"cycle_value.{key}", "malformed") from error
