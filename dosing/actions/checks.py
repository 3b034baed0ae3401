"""What a change of a dose must keep: plausible times, how early it may be, and the limits of as-needed intakes.

What a phone recorded offline is not refused for these: its event gets `flags` instead.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from dosing.as_needed import DailyLimitReached, IntakeTooSoon, check_limits, is_over_limit
from dosing.earliness import TooEarly, check_earliness
from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.status import EventAction, Flag
from medications.models import Medication
from medtrack.http.problems import field_error

CLOCK_SKEW = timedelta(minutes=5)
MAX_AGE = timedelta(days=400)
_FLAGS = {IntakeTooSoon.__name__: Flag.TOO_SOON, DailyLimitReached.__name__: Flag.OVER_LIMIT}


def refuse_future(field: str, at: datetime, *, now: datetime) -> None:
    """Raises ValidationError for an instant after `now`; phones' clocks may be `CLOCK_SKEW` fast."""
    if at > now + CLOCK_SKEW:
        raise field_error(field, _("This time is in the future. The latest is now."), code="in_future")


def refuse_implausible(field: str, at: datetime, *, now: datetime) -> None:
    """Raises ValidationError for an instant after `now` or more than `MAX_AGE` before it."""
    refuse_future(field, at, now=now)
    if at < now - MAX_AGE:
        detail = _("This time is too long ago. It may be at most %(days)s days ago.") % {"days": MAX_AGE.days}
        raise field_error(field, detail, code="too_long_ago")


def check_time(event: DoseEvent, *, field: str = "occurred_at", is_lenient: bool = False) -> None:
    """Nothing happened later than now. Raises ValidationError for an instant that is not plausible.

    An instant to be lenient about is kept, or is now if it is in the future.
    """
    at, now = event.occurred_at, event.recorded_at
    if not is_lenient:
        refuse_implausible(field, at, now=now)
    elif at > now + CLOCK_SKEW:
        _flag(event, Flag.IN_FUTURE)
    elif at < now - MAX_AGE:
        _flag(event, Flag.LONG_AGO)
    event.occurred_at = min(at, now)


def check_early(dose: DoseLog, event: DoseEvent, at: datetime, *, override: bool, is_offline: bool) -> None:
    """Raises TooEarly."""
    try:
        check_earliness(dose, at, is_taken=event.action != EventAction.SKIPPED)
    except TooEarly:
        if override:
            event.payload.setdefault("override", TooEarly.__name__)
        elif is_offline:
            _flag(event, Flag.TOO_EARLY)
        else:
            raise


def check_as_needed(
    dose: DoseLog, event: DoseEvent, at: datetime, quantity: Decimal, *, override: bool, is_offline: bool
) -> None:
    """Raises IntakeTooSoon and DailyLimitReached for an as-needed intake."""
    recorded = check_intake(
        dose.medication, at, quantity=quantity, override=override or is_offline, exclude=dose
    )
    add_limits(event, recorded, is_meant=override)


def add_limits(event: DoseEvent, recorded: dict[str, Any], *, is_meant: bool) -> None:
    """Adds what `check_intake` returned to the event: the limit that was overridden, or the flag for it."""
    limit = recorded.get("override")
    if limit and not is_meant:
        _flag(event, _FLAGS[limit])
        del recorded["override"]
    event.payload |= recorded


def check_intake(
    medication: Medication,
    at: datetime,
    *,
    quantity: Decimal,
    override: bool,
    schedule: Schedule | None = None,
    exclude: DoseLog | None = None,
) -> dict[str, Any]:
    """Checks the limits of an as-needed intake at this instant and returns what its event's payload records.

    That is `override`, the limit that was overridden, if any, and `over_limit` if the user's day has more
    intakes than expected. `exclude` is an intake that does not count. Raises IntakeTooSoon and
    DailyLimitReached.
    """
    overridden = check_limits(
        medication, at, quantity=quantity, override=override, schedule=schedule, exclude=exclude
    )
    recorded: dict[str, Any] = {"override": overridden} if overridden else {}
    if is_over_limit(medication.user, at, exclude=exclude):
        recorded["over_limit"] = True
    return recorded


def was_over_limit(dose: DoseLog) -> bool:
    """Whether the user's day had more intakes than expected when this one was recorded."""
    return dose.events.filter(action=EventAction.TAKEN, payload__has_key="over_limit").exists()


def _flag(event: DoseEvent, flag: Flag) -> None:
    event.payload.setdefault("flags", []).append(flag)
