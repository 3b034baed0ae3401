"""The two requests that phones make all day, one prepared statement each: the doses of a day, and taking one.

Each looks at the caller's session itself, so that one that was ended stops at once. What is not the plain case of
taking is left to `dosing.actions.doses`, which knows all the rules.
"""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from psycopg.types.json import Jsonb

from dosing.actions.doses import CLOCK_SKEW, MEMORY, payload_of
from medtrack.database.ids import uuid7
from medtrack.database.statements import Statement
from users.authentication import SessionEnded
from users.tokens import AccessClaims

_SQL = Path(__file__).parent / "sql"
_DAY = Statement.of(_SQL / "day.sql", prepared=True)
_TAKE = Statement.of(_SQL / "take.sql", prepared=True)


def day_of(claims: AccessClaims, day: date) -> dict[str, Any]:
    """The doses of a local date, as DayOutput shows them. Raises SessionEnded."""
    rows = _DAY.rows(day=day, session_id=claims.session_id, user_id=claims.user_id)
    if not rows:
        raise SessionEnded
    return {"date": day, "timezone": rows[0][0], "results": [_as_output(row[1:]) for row in rows if row[1]]}


def take_planned_dose(
    claims: AccessClaims,
    *,
    dose_id: UUID,
    event_id: UUID | None = None,
    occurred_at: datetime | None = None,
    quantity: Decimal | None = None,
    note: str | None = None,
    override: bool = False,
) -> dict[str, Any] | None:
    """The dose, taken, as DoseOutput shows it; None when this is not the plain case. Raises SessionEnded.

    `override` is about as-needed intakes, of which none is plain.
    """
    try:
        rows = _TAKE.rows(
            session_id=claims.session_id,
            user_id=claims.user_id,
            dose_id=dose_id,
            event_id=event_id or uuid7(),
            occurred_at=occurred_at,
            quantity=quantity,
            note=note or "",
            payload=Jsonb(payload_of(quantity=quantity, note=note)),
            clock_skew=CLOCK_SKEW,
            memory=MEMORY,
        )
    except IntegrityError:  # the same event came twice at once; the slower way tells what that means
        return None
    if not rows:
        raise SessionEnded
    (row,) = rows
    return None if row[0] is None else _as_output(row)


def _as_output(row: tuple[Any, ...]) -> dict[str, Any]:
    (log_date, id, schedule_id, medication_id, name, dosage, color_tag, *rest) = row
    scheduled_time, due_at, quantity, status, taken_at, snoozed_until, recorded_by, skip_reason, note = rest
    return {
        "id": id,
        "schedule_id": schedule_id,
        "medication": {"id": medication_id, "name": name, "dosage": dosage, "color_tag": color_tag},
        "log_date": log_date,
        "scheduled_time": scheduled_time,
        "due_at": due_at,
        "quantity": quantity,
        "status": status,
        "taken_at": taken_at,
        "snoozed_until": snoozed_until,
        "recorded_by": recorded_by,
        "skip_reason": skip_reason,
        "note": note,
    }
