"""How the API's description shows the values of cycles: a component for each `cycle_type`, with an example.

OpenAPI's discriminator is a field of the object itself. `cycle_type` stands beside the value, so the value is one
of the components, of which no value fits two, and its description says which component belongs to which type.
"""

from collections.abc import Mapping
from typing import Any

from dosing.cycle_values import (
    EXAMPLES,
    MAX_DATES,
    MAX_GAP_MINUTES,
    MAX_MONTH_DAYS,
    MAX_PER_DAY,
    MAX_PERIOD_DAYS,
    MAX_STEPS,
    MAX_WEEKS,
    WEEKDAYS,
)
from medtrack.http.formats import DATE, QUANTITY

Schema = dict[str, Any]


def _object(description: str, example: Any, required: list[str], properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": dict(properties),
        "example": example,
    }


def _whole(most: int, **more: Any) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most, **more}


def _list(items: Schema, most: int, **more: Any) -> Schema:
    return {"type": "array", "minItems": 1, "maxItems": most, "items": items, **more}


_QUANTITY: Schema = {"type": "string", "pattern": f"^{QUANTITY.pattern}$"}
_DAYS = _whole(MAX_PERIOD_DAYS)
# By `cycle_type`.
VALUES: dict[str, tuple[str, Schema]] = {
    "daily": ("DailyValue", {"enum": [None], "description": "Every date: there is no value."}),
    "weekly": (
        "WeeklyValue",
        _object(
            "These weekdays, in every n-th week counted from the week of the start date.",
            EXAMPLES["weekly"],
            ["days"],
            {
                "days": _list({"type": "string", "enum": list(WEEKDAYS)}, len(WEEKDAYS), uniqueItems=True),
                "every": _whole(MAX_WEEKS, default=1),
            },
        ),
    ),
    "interval": (
        "IntervalValue",
        _object(
            "The start date and every n days after it.", EXAMPLES["interval"], ["every"], {"every": _DAYS}
        ),
    ),
    "on_off": (
        "OnOffValue",
        _object(
            "From the start date, `on` days with a dose and `off` days without, again and again.",
            EXAMPLES["on_off"],
            ["on", "off"],
            {"on": _DAYS, "off": _DAYS},
        ),
    ),
    "monthly": (
        "MonthlyValue",
        _object(
            "These days of every month. One that a month does not have is its last day.",
            EXAMPLES["monthly"],
            ["days"],
            {"days": _list(_whole(MAX_MONTH_DAYS), MAX_MONTH_DAYS, uniqueItems=True)},
        ),
    ),
    "dates": (
        "DatesValue",
        _object(
            "These dates and no others.",
            EXAMPLES["dates"],
            ["dates"],
            {
                "dates": _list(
                    {"type": "string", "format": "date", "pattern": f"^{DATE.pattern}$"},
                    MAX_DATES,
                    uniqueItems=True,
                )
            },
        ),
    ),
    "taper": (
        "TaperValue",
        _object(
            "Every date from the start date on while the steps last, with the quantity of the step.",
            EXAMPLES["taper"],
            ["steps"],
            {"steps": _list({"$ref": "#/components/schemas/TaperStep"}, MAX_STEPS)},
        ),
    ),
    "as_needed": (
        "AsNeededValue",
        _object(
            "Never planned. The limits hold when an intake is recorded; a missing one is none.",
            EXAMPLES["as_needed"],
            [],
            {
                "min_gap_minutes": _whole(MAX_GAP_MINUTES, nullable=True),
                "max_per_day": _whole(MAX_PER_DAY, nullable=True),
                "max_quantity_per_day": _QUANTITY | {"nullable": True},
            },
        ),
    ),
}
TAPER_STEP = _object(
    "A number of days, and how much is taken on each of them: more than 0.",
    EXAMPLES["taper"]["steps"][0],
    ["days", "quantity"],
    {"days": _DAYS, "quantity": _QUANTITY},
)
COMPONENTS: dict[str, Schema] = {**dict(VALUES.values()), "TaperStep": TAPER_STEP}
CYCLE_VALUE: Schema = {
    "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name, _schema in VALUES.values()],
}
DESCRIPTION = (
    "By `cycle_type`: "
    + ", ".join(f"`{cycle_type}` {name}" for cycle_type, (name, _schema) in VALUES.items())
    + ". `as_needed` may have null, too."
)
