"""How many days may be asked for at once."""

from datetime import date

from django.utils.translation import gettext as _

from medtrack.http.problems import field_error

MAX_DAYS = 400


def check_span(first: date, last: date) -> None:
    if last < first:
        raise field_error("to", _("The end is before the start."), code="before_start")
    if (last - first).days >= MAX_DAYS:
        raise field_error("to", _("At most %(days)s days at a time.") % {"days": MAX_DAYS}, code="too_long")
