"""Checks that a schedule's fields fit each other, so that every schedule that is saved can be planned."""

import json
from datetime import date

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dosing.cycle_values import WEEKDAYS, InvalidCycle, parse_cycle
from dosing.models import Schedule
from medtrack.http import expected
from medtrack.http.problems import field_error

# What would have been right, by `InvalidCycle.expected`.
_EXPECTED = {
    "not_supported": gettext_lazy("This must be one of the cycles: %(known)s"),
    "must_be_null": gettext_lazy("A daily cycle takes no value: leave it out, or send null."),
    "must_be_object": gettext_lazy("This must be a JSON object. Example: %(example)s"),
    "list": gettext_lazy("This must be a list of 1 to %(most)s entries. Example: %(example)s"),
    "unknown_key": gettext_lazy("There is no “%(key)s”. There are only: %(known)s"),
    "weekday": gettext_lazy("This must be one of the weekdays: %(weekdays)s"),
    "repeated": gettext_lazy("“%(entry)s” is given twice. Once is enough."),
}


def check(schedule: Schedule) -> None:
    """Raises ValidationError naming the field that is wrong."""
    try:
        parse_cycle(schedule.cycle_type, schedule.cycle_value)
    except InvalidCycle as error:
        raise field_error(error.field, _sentence(error), code=error.code) from error
    if schedule.scheduled_time is None and schedule.cycle_type != Schedule.CycleType.AS_NEEDED:
        sentence = _("Only an as-needed schedule has no time of day. %(format)s")
        raise field_error("scheduled_time", sentence % {"format": expected.WALL_TIME}, code="required")
    if schedule.end_date is not None:
        check_order(schedule.start_date, schedule.end_date, field="end_date")


def check_order(first: date, last: date, *, field: str) -> None:
    """Raises ValidationError naming the field if `last` is before `first`."""
    if last < first:
        sentence = _("The end is before the start. The earliest end is %(first)s.")
        raise field_error(field, sentence % {"first": first.isoformat()}, code="before_start")


def _sentence(error: InvalidCycle) -> str:
    match error.expected:
        case "whole":
            return expected.whole_number(error.params["least"], error.params["most"])
        case "date":
            return str(expected.CALENDAR_DATE)
        case "quantity":
            return str(expected.QUANTITY)
    params = error.params | {"weekdays": ", ".join(WEEKDAYS)}
    if "example" in params:
        params["example"] = json.dumps(params["example"])
    return str(_EXPECTED[error.expected]) % params
