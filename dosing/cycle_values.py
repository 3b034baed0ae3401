"""Parses a schedule's `cycle_type` and `cycle_value` (JSON). A cycle that can be parsed can be planned."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from dosing.cycles import AsNeeded, Cycle, Daily, Dates, Interval, Monthly, OnOff, Taper, Weekly
from medtrack.http.formats import DATE, QUANTITY

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_WEEKS = 52
MAX_MONTH_DAYS = 31
MAX_DATES = 400
MAX_STEPS = 50
MAX_PERIOD_DAYS = 366
MAX_GAP_MINUTES = 7 * 24 * 60
MAX_PER_DAY = 100
# A value of each type, as errors and the API's description show it.
EXAMPLES: dict[str, Any] = {
    "daily": None,
    "weekly": {"days": ["mon", "wed"], "every": 1},
    "interval": {"every": 2},
    "on_off": {"on": 21, "off": 7},
    "monthly": {"days": [1, 31]},
    "dates": {"dates": ["2026-12-01", "2026-12-15"]},
    "taper": {"steps": [{"days": 5, "quantity": "2"}, {"days": 5, "quantity": "1"}]},
    "as_needed": {"min_gap_minutes": 240, "max_per_day": 4, "max_quantity_per_day": "8"},
}
# How many characters of an unknown key or a repeated entry an error contains.
_EXCERPT = 50


class InvalidCycle(ValueError):
    """The cycle cannot be parsed.

    `field` is the path of the value in the schedule, `code` says what is wrong. What would have been right is
    `expected`, the name of a text, with its `params`.
    """

    def __init__(self, field: str, code: str, *, expected: str = "", **params: Any) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code
        self.expected = expected or code
        self.params = params


def parse_cycle(cycle_type: str, value: Any) -> Cycle:
    """Returns the cycle of a `cycle_type` and its `cycle_value`. Raises InvalidCycle."""
    match cycle_type:
        case "daily":
            if value is not None:
                raise InvalidCycle("cycle_value", "must_be_null")
            return Daily()
        case "weekly":
            value = _object(value, EXAMPLES["weekly"])
            days = _entries(value, "days", EXAMPLES["weekly"], most=len(WEEKDAYS), expected="weekday")
            for index, day in enumerate(days):
                if day not in WEEKDAYS:
                    raise InvalidCycle(f"cycle_value.days.{index}", "unknown_weekday", expected="weekday")
            every = _whole(value.get("every", 1), "every", 1, MAX_WEEKS)
            return Weekly(frozenset(WEEKDAYS.index(day) for day in days), every)
        case "interval":
            value = _object(value, EXAMPLES["interval"])
            return Interval(_whole(value.get("every"), "every", 1, MAX_PERIOD_DAYS))
        case "on_off":
            value = _object(value, EXAMPLES["on_off"])
            return OnOff(*(_whole(value.get(key), key, 1, MAX_PERIOD_DAYS) for key in ("on", "off")))
        case "monthly":
            value = _object(value, EXAMPLES["monthly"])
            days = _entries(
                value, "days", EXAMPLES["monthly"], most=MAX_MONTH_DAYS, expected="whole", least=1
            )
            numbers = (_whole(day, f"days.{index}", 1, MAX_MONTH_DAYS) for index, day in enumerate(days))
            return Monthly(tuple(sorted(numbers)))
        case "dates":
            value = _object(value, EXAMPLES["dates"])
            texts = _entries(value, "dates", EXAMPLES["dates"], most=MAX_DATES, expected="date")
            dates = (_date(text, f"dates.{index}") for index, text in enumerate(texts))
            return Dates(tuple(sorted(dates)))
        case "taper":
            return _taper(value)
        case "as_needed":
            # Without a value there are no limits.
            value = _object({} if value is None else value, EXAMPLES["as_needed"])
            gap, most = value.get("min_gap_minutes"), value.get("max_per_day")
            amount = value.get("max_quantity_per_day")
            return AsNeeded(
                None
                if gap is None
                else timedelta(minutes=_whole(gap, "min_gap_minutes", 1, MAX_GAP_MINUTES)),
                None if most is None else _whole(most, "max_per_day", 1, MAX_PER_DAY),
                None if amount is None else _quantity(amount, "max_quantity_per_day"),
            )
    raise InvalidCycle("cycle_type", "not_supported", known=", ".join(EXAMPLES))


def _taper(value: Any) -> Cycle:
    example = EXAMPLES["taper"]
    steps = _list(_object(value, example), "steps", example, most=MAX_STEPS)
    parsed = []
    for index, step in enumerate(steps):
        # An error names the step by its index, so that the app can mark the field.
        key = f"steps.{index}"
        step = _object(step, example["steps"][0], within=key)
        days = _whole(step.get("days"), f"{key}.days", 1, MAX_PERIOD_DAYS)
        parsed.append((days, _quantity(step.get("quantity"), f"{key}.quantity")))
    return Taper(tuple(parsed))


def _quantity(text: Any, key: str) -> Decimal:
    # A text, because a JSON number would be read as a float and lose digits.
    if not isinstance(text, str) or not QUANTITY.fullmatch(text):
        raise InvalidCycle(f"cycle_value.{key}", "malformed", expected="quantity")
    # The pattern allows 0, which would be a dose of nothing.
    if not (quantity := Decimal(text)):
        raise InvalidCycle(f"cycle_value.{key}", "out_of_range", expected="quantity")
    return quantity


def _object(value: Any, example: Mapping[str, Any], *, within: str = "") -> Mapping[str, Any]:
    """Returns the value, which may have the keys of the example and no others."""
    path = f"cycle_value.{within}".rstrip(".")
    if not isinstance(value, dict):
        raise InvalidCycle(path, "must_be_object", example=example)
    # Stops at the first unknown key, so that a huge object is not read.
    if (unknown := next((key for key in value if key not in example), None)) is not None:
        unknown = unknown[:_EXCERPT]
        raise InvalidCycle(f"{path}.{unknown}", "unknown_key", key=unknown, known=", ".join(example))
    return value


def _entries(
    value: Mapping[str, Any], key: str, example: Mapping[str, Any], *, most: int, expected: str, **params: Any
) -> list[Any]:
    """Returns the list under `key`: texts or integers, none of them twice. `expected` says what they are."""
    entries = _list(value, key, example, most=most)
    seen: set[str | int] = set()
    for index, entry in enumerate(entries):
        path = f"cycle_value.{key}.{index}"
        # Checked before the set is asked: a list or an object cannot be looked up in it.
        if not isinstance(entry, str | int):
            raise InvalidCycle(path, "malformed", expected=expected, most=most, **params)
        if entry in seen:
            raise InvalidCycle(path, "repeated", entry=str(entry)[:_EXCERPT])
        seen.add(entry)
    return entries


def _list(value: Mapping[str, Any], key: str, example: Mapping[str, Any], *, most: int) -> list[Any]:
    """Returns the list under `key`, of one to `most` entries."""
    entries = value.get(key)
    params = {"most": most, "example": example[key]}
    if not isinstance(entries, list) or not entries:
        raise InvalidCycle(f"cycle_value.{key}", "required", expected="list", **params)
    if len(entries) > most:
        raise InvalidCycle(f"cycle_value.{key}", "too_many", expected="list", **params)
    return entries


def _whole(number: Any, key: str, least: int, most: int) -> int:
    # In Python true and false are integers, in JSON they are not.
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise InvalidCycle(f"cycle_value.{key}", "out_of_range", expected="whole", least=least, most=most)
    return number


def _date(text: Any, key: str) -> date:
    try:
        # `fromisoformat` alone would also accept 20260131 and 2026-W05-6.
        if not DATE.fullmatch(text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise InvalidCycle(f"cycle_value.{key}", "malformed", expected="date") from error
