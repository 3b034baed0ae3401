"""Checks that a schedule's fields fit each other, so that every schedule that is saved can be planned."""

from django.utils.translation import gettext_lazy as _

from dosing.cycle_values import InvalidCycle, parse_cycle
from dosing.models import Schedule
from medtrack.http.problems import field_error

CYCLE_ERRORS = {
    "not_supported": _("There is no such cycle."),
    "must_be_null": _("This cycle takes no value."),
    "must_be_object": _("This cycle needs an object."),
    "required": _("This cycle needs at least one entry here."),
    "too_many": _("There are too many entries here."),
    "unknown_key": _("This cycle has no such setting."),
    "unknown_weekday": _("Weekdays are mon, tue, wed, thu, fri, sat and sun."),
    "repeated": _("An entry is given twice."),
    "out_of_range": _("This is not a number in the allowed range."),
    "malformed": _("This cannot be read."),
}


def check(schedule: Schedule) -> None:
    """Raises ValidationError naming the field that is wrong."""
    try:
        parse_cycle(schedule.cycle_type, schedule.cycle_value)
    except InvalidCycle as error:
        raise field_error(error.field, CYCLE_ERRORS[error.code], code=error.code) from error
    if schedule.end_date is not None and schedule.end_date < schedule.start_date:
        raise field_error("end_date", _("The end is before the start."), code="before_start")
