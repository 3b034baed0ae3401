"""What the dashboard's page is made of: figures, notices and cards, and how it writes numbers and times."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import ngettext

from users.models import User


@dataclass(frozen=True)
class Figure:
    """A number with its name.

    `kind` is a CSS class of console.css. `url` is empty if the viewer may not see the list.
    """

    name: str
    value: str
    kind: str = ""
    url: str = ""
    note: str = ""


@dataclass(frozen=True)
class Notice:
    """A problem: an `alarm` needs attention at once, a `warning` within the day."""

    level: str
    text: str
    url: str = ""


@dataclass(frozen=True)
class Card:
    """Figures that belong together, with a note and with the problems that they show."""

    title: str
    figures: list[Figure]
    bar: SafeString | str = ""
    note: str = ""
    is_empty: bool = False
    notices: list[Notice] = field(default_factory=list)


def clock_text(at: datetime, viewer: User, pattern: str) -> str:
    return date_format(at.astimezone(viewer.zone), pattern)


def age_text(age: timedelta) -> str:
    if age < timedelta(minutes=1):
        seconds = max(int(age.total_seconds()), 0)
        return ngettext("%(count)s second", "%(count)s seconds", seconds) % {"count": seconds}
    start = datetime(2000, 1, 1)  # noqa: DTZ001 - any instant will do
    return timesince(start, start + age, depth=1)


def number_text(number: Any) -> str:
    return f"{number:,}"
