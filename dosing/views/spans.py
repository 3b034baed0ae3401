"""Checks a range of dates in a query."""

from datetime import date

from django.utils.translation import gettext as _

from medtrack.http.problems import field_error

MAX_DAYS = 400


def check_span(first: date, last: date) -> None:
    """Raises ValidationError if the end is before the start, or the range longer than `MAX_DAYS`."""
    if last < first:
        raise field_error("to", _("The end is before the start."), code="before_start")
    if (last - first).days >= MAX_DAYS:
        raise field_error("to", _("At most %(days)s days at a time.") % {"days": MAX_DAYS}, code="too_long")
