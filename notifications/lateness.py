"""Doses whose reminder is late.

They are counted from the doses, so that an engine that stands still is noticed.
"""

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from dosing.planning import ANSWER_WINDOW
from medtrack.database.statements import Statement
from notifications.task_runs import last_enqueued_at

# Twice what the periodic tasks need at most: they enqueue every 10 s and dispatch every 2 s.
GRACE = timedelta(seconds=20)
# More are not counted, so that the figure stays cheap.
MAX_COUNTED = 10_000
# A dose is dated when the transaction that made it began, and can be seen when that has ended.
LONGEST_PLANNING = timedelta(minutes=1)

_LATE = Statement.of(Path(__file__).parent / "sql" / "late_doses.sql")


class LateDoses(NamedTuple):
    """Doses due more than GRACE ago without an accepted reminder, and the age of the oldest in seconds."""

    doses: int
    oldest_seconds: float


def late_doses() -> LateDoses:
    enqueued_at = last_enqueued_at()
    # Without a run of the enqueue step all due doses are read.
    made_since = enqueued_at and enqueued_at - LONGEST_PLANNING
    row = _LATE.one(
        enqueued_at=enqueued_at, made_since=made_since, window=ANSWER_WINDOW, grace=GRACE, most=MAX_COUNTED
    )
    return LateDoses(*row)
