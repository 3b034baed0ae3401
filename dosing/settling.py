"""The engine's sixth step: doses that nobody answered in their window are missed, set-based, any number at once."""

from datetime import datetime

from django.db import connection

from dosing.status import TRANSITIONS, Change, DoseStatus

# Whoever is answering a dose at this moment holds its row, and is not waited for.
_SETTLE = """
    UPDATE dose_logs SET status = %(missed)s, snoozed_until = NULL
    WHERE id = ANY(ARRAY(
        SELECT id FROM dose_logs
        WHERE status = 'pending' AND answer_by <= %(now)s
        ORDER BY answer_by LIMIT %(limit)s
        FOR NO KEY UPDATE SKIP LOCKED
    ))
"""


def settle(*, now: datetime, limit: int = 5000) -> int:
    """Settles one batch of doses whose window ended by the instant `now`; returns how many, 0 when none are left."""
    missed = TRANSITIONS[DoseStatus.PENDING, Change.MISS]
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE, {"missed": missed, "now": now, "limit": limit})
        return int(cursor.rowcount)
