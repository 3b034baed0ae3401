"""The engine's sixth step: doses that were not answered in their window become missed, in batches."""

from datetime import datetime
from pathlib import Path

from dosing.status import TRANSITIONS, Change, DoseStatus
from medtrack.database.statements import Statement

_SETTLE = Statement.of(Path(__file__).parent / "sql" / "settle.sql")


def settle(*, now: datetime, limit: int = 5000) -> int:
    """Settles one batch of doses whose answer window ended by the instant `now`; any number may do so at
    once.

    Returns how many: 0 when none are left, apart from those that are being answered.
    """
    missed = TRANSITIONS[DoseStatus.PENDING, Change.MISS]
    return _SETTLE.execute(missed=missed, now=now, limit=limit)
