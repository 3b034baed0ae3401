"""Schedules as one would say them, in the language that is active. Pure: no clock, no database."""

from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from functools import reduce

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dosing.cycles import AsNeeded, Cycle, Daily, Dates, Interval, Monthly, OnOff, Taper, Weekly
from dosing.durations import days, hours, minutes

# More dates than this are counted and not named.
NAMED_DATES = 5
_HOUR = timedelta(hours=1)


def in_words(cycle: Cycle, times: Sequence[time], *, unit: str = "") -> str:
    """Returns when doses are due, for example "Mon, Wed, Fri 08:00 and 20:00".

    `unit` is the unit of a taper's quantities.
    """
    parts = {"times": listed([clock(at) for at in sorted(times)])}
    match cycle:
        case Daily():
            return _("every day %(times)s") % parts
        case Weekly():
            return _weekly(cycle, parts)
        case Interval(every=1):
            return _("every day %(times)s") % parts
        case Interval(every=every):
            return _("every %(count)s days %(times)s") % (parts | {"count": str(every)})
        case OnOff(on=on, off=off):
            parts |= {"on": days(on), "off": str(off)}
            return _("every day %(times)s, %(on)s on / %(off)s off") % parts
        case Monthly():
            return _monthly(cycle, parts)
        case Dates():
            return _dates(cycle, parts)
        case Taper():
            steps = [
                _("%(days)s of %(quantity)s") % {"days": days(length), "quantity": amount(quantity, unit)}
                for length, quantity in cycle.steps
            ]
            parts["steps"] = reduce(
                lambda before, step: _("%(steps)s, then %(step)s") % {"steps": before, "step": step}, steps
            )
            return _("every day %(times)s: %(steps)s") % parts
        case AsNeeded():
            # Doses as needed have no times.
            limits = [_("as needed")]
            if cycle.min_gap is not None:
                limits.append(_("at least %(gap)s apart") % {"gap": span(cycle.min_gap)})
            if cycle.max_per_day is not None:
                limits.append(_("at most %(count)s times a day") % {"count": cycle.max_per_day})
            return ", ".join(limits)
    raise TypeError(cycle)


def _weekly(cycle: Weekly, parts: dict[str, str]) -> str:
    if len(cycle.weekdays) == 7:
        parts["days"] = _("every day")
    else:
        parts["days"] = ", ".join(weekday(number) for number in sorted(cycle.weekdays))
    if cycle.every == 1:
        return f"{parts['days']} {parts['times']}"
    return _("every %(count)s weeks: %(days)s %(times)s") % (parts | {"count": str(cycle.every)})


def _monthly(cycle: Monthly, parts: dict[str, str]) -> str:
    parts["days"] = listed([str(number) for number in cycle.days])
    words = ngettext(
        "monthly on day %(days)s, %(times)s", "monthly on days %(days)s, %(times)s", len(cycle.days)
    )
    if cycle.days[-1] > 28:
        return _("%(monthly)s (in shorter months on the last day)") % {"monthly": words % parts}
    return words % parts


def _dates(cycle: Dates, parts: dict[str, str]) -> str:
    if len(cycle.days) <= NAMED_DATES:
        parts["dates"] = listed([day_in_words(day) for day in cycle.days])
        return _("on %(dates)s, %(times)s") % parts
    parts |= {
        "count": str(len(cycle.days)),
        "first": day_in_words(cycle.days[0]),
        "last": day_in_words(cycle.days[-1]),
    }
    return _("on %(count)s dates from %(first)s to %(last)s, %(times)s") % parts


def listed(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return _("%(others)s and %(last)s") % {"others": ", ".join(words[:-1]), "last": words[-1]}


def clock(at: time) -> str:
    return f"{at:%H:%M}" if not at.second else f"{at:%H:%M:%S}"


def weekday(number: int) -> str:
    """The short name; 0 is Monday."""
    return [_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun")][number]


def day_in_words(day: date) -> str:
    return date_format(day, "DATE_FORMAT")


def amount(quantity: Decimal, unit: str) -> str:
    """Without the zeros that the database keeps: 1.500 is 1.5."""
    number = f"{quantity.normalize():f}"
    # 1정, but 1 tablet.
    return f"{number} {unit}".strip() if unit[:1].isascii() else f"{number}{unit}"


def span(gap: timedelta) -> str:
    """In whole minutes, by the largest units that fit."""
    whole_hours, rest = divmod(gap, _HOUR)
    whole_minutes = rest // timedelta(minutes=1)
    words = [hours(whole_hours)] if whole_hours else []
    if whole_minutes or not whole_hours:
        words.append(minutes(whole_minutes))
    return " ".join(words)
