"""Which doses wait for a reminder that should have gone out: told from the doses, so that a dead engine is seen."""

from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from dosing.planning import ANSWER_WINDOW
from medtrack.database.ids import first_id
from notifications.task_runs import last_enqueued_at

# Twice what the engine's own ticks, enqueue every 10 s and dispatch every 2 s, need at most.
GRACE = timedelta(seconds=20)
# As many are counted at most: by then a person must act, and the figure must stay cheap.
MOST = 10_000
# Doses get their ids from the planners' clocks, which may be a little behind PostgreSQL's.
CLOCKS_DIFFER = timedelta(minutes=1)

_LATE = (Path(__file__).parent / "sql" / "late_doses.sql").read_text()
_NONE = UUID(int=2**128 - 1)


class LateDoses(NamedTuple):
    """Doses due more than GRACE ago of which no reminder was handed over, and the age of the oldest, in seconds."""

    doses: int
    oldest_seconds: float


def late_doses() -> LateDoses:
    with connection.cursor() as cursor:
        cursor.execute(_LATE, _params())
        return LateDoses(*cursor.fetchone())


def _params() -> dict[str, Any]:
    enqueued_at = last_enqueued_at()
    return {
        "enqueued_at": enqueued_at,
        "made_since": first_id(enqueued_at - CLOCKS_DIFFER) if enqueued_at else _NONE,
        "window": ANSWER_WINDOW,
        "grace": GRACE,
        "most": MOST,
    }
