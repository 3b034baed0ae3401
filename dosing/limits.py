"""The limits of a medication that is taken as needed: a least gap, and a maximum in any 24 hours. Pure.

Every taken dose of the medication counts, planned or not. An intake exceeds a maximum if any window of 24
hours that contains it, (t - 24 h, t], has more than the maximum, with earlier and with later intakes. All
instants are in UTC.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate
from operator import attrgetter

from dosing.cycles import AsNeeded

WINDOW = timedelta(hours=24)


class Limit(StrEnum):
    GAP = "gap"
    COUNT = "count"
    QUANTITY = "quantity"


@dataclass(frozen=True, slots=True)
class Taken:
    """An intake that counts: when, and how much."""

    at: datetime
    quantity: Decimal


class Intakes:
    """The intakes near an instant, against which another one is checked."""

    def __init__(self, taken: Sequence[Taken], limits: AsNeeded) -> None:
        in_order = sorted(taken, key=attrgetter("at"))
        self._instants = [intake.at for intake in in_order]
        self._sums = [Decimal(0), *accumulate(intake.quantity for intake in in_order)]
        self._limits = limits

    def exceeded(self, at: datetime, quantity: Decimal) -> Limit | None:
        """The limit that an intake at this instant exceeds."""
        gap = self._limits.min_gap or timedelta()
        if bisect_left(self._instants, at + gap) > bisect_right(self._instants, at - gap):
            return Limit.GAP
        # A window that contains the intake is fullest when it ends with the intake or with a later one.
        later = self._instants[bisect_right(self._instants, at) : bisect_left(self._instants, at + WINDOW)]
        for end in (at, *later):
            first = bisect_right(self._instants, end - WINDOW)
            last = bisect_right(self._instants, end)
            most, most_quantity = self._limits.max_per_day, self._limits.max_quantity_per_day
            if most is not None and last - first >= most:
                return Limit.COUNT
            if most_quantity is not None and self._sums[last] - self._sums[first] + quantity > most_quantity:
                return Limit.QUANTITY
        return None

    def next_allowed_at(self, at: datetime, quantity: Decimal) -> datetime | None:
        """The first instant, not before `at`, at which an intake exceeds no limit. None: it always does."""
        most = self._limits.max_quantity_per_day
        if most is not None and quantity > most:
            return None
        # A limit stops being exceeded only when an earlier intake leaves the gap or the window.
        gap = self._limits.min_gap or timedelta()
        leaves = {instant + span for instant in self._instants for span in (gap, WINDOW)}
        instants = [at, *sorted(instant for instant in leaves if instant > at)]
        return next(instant for instant in instants if self.exceeded(instant, quantity) is None)
