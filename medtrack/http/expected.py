"""Sentences that say what a value should have been, for errors of the whole API: a range, a format, an example.

They are in the language that is active when the function is called.
"""

from collections.abc import Iterable

from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from medtrack.http.formats import FIRST_YEAR, LAST_YEAR

WALL_TIME = gettext_lazy("The format is HH:MM. Example: 08:30")
CALENDAR_DATE = format_lazy(
    gettext_lazy("The format is YYYY-MM-DD, in the years {first} to {last}. Example: 2026-12-01"),
    first=FIRST_YEAR,
    last=LAST_YEAR,
)
INSTANT = gettext_lazy(
    "The format is YYYY-MM-DDThh:mm:ss with Z or an offset. Examples: 2026-12-01T08:30:00Z, "
    "2026-12-01T17:30:00+09:00"
)
QUANTITY = gettext_lazy(
    'This must be a decimal number as text, more than 0, with at most 6 digits before the point and 3 after it. Example: "1.5"'
)
ID = gettext_lazy("This must be a UUID. Example: 01990a4f-5230-7f11-b4c9-77aa31c0de32")
TRUE_OR_FALSE = gettext_lazy("This must be true or false, without quotes.")
EMAIL = gettext_lazy("This must be an e-mail address. Example: name@example.com")
ANY_JSON = gettext_lazy("This must be a JSON value.")


def number_in_query(least: int, most: int) -> str:
    return _("This must be a number from %(least)s to %(most)s.") % {"least": least, "most": most}


def whole_number(least: int | None, most: int | None) -> str:
    if least is None or most is None:
        return _("This must be a whole number, without quotes.")
    return _("This must be a whole number from %(least)s to %(most)s, without quotes.") % {
        "least": least,
        "most": most,
    }


def text(most: int | None) -> str:
    if most is None:
        return _("This must be a text.")
    return _("This must be a text of at most %(most)s characters.") % {"most": most}


def one_of(choices: Iterable[object]) -> str:
    return _("This must be one of: %(choices)s") % {"choices": ", ".join(map(str, choices))}


def list_of(most: int | None) -> str:
    if most is None:
        return _("This must be a list.")
    return _("This must be a list of at most %(most)s entries.") % {"most": most}


def json_object(fields: Iterable[str]) -> str:
    return _("This must be a JSON object with the fields: %(fields)s") % {"fields": ", ".join(fields)}
