"""The two most frequent requests, one prepared statement each: reading the doses of a day, and taking a dose.

Each statement checks the caller's session itself, so that a session that has ended is refused at once. Taking
handles only the simple case, a planned dose that was due and is pending or missed; the others are left to
`dosing.actions.doses`.
"""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from psycopg.types.json import Jsonb

from dosing.actions.checks import CLOCK_SKEW, MAX_AGE
from dosing.actions.events import payload_of
from medtrack.database.ids import uuid7
from medtrack.database.statements import Statement
from users.authentication import SessionEnded
from users.tokens import AccessClaims

_SQL = Path(__file__).parent / "sql"
# The fields of DoseOutput, and the columns that both statements read for them. The medication's own come
# last.
DOSE_COLUMNS = {
    "id": "d.id",
    "schedule_id": "d.schedule_id",
    "medication": "d.medication_id",
    "log_date": "d.log_date",
    "scheduled_time": "to_char(d.scheduled_time, 'HH24:MI')",
    "due_at": "d.due_at",
    "quantity": "trim_scale(coalesce(d.taken_quantity, d.quantity))::text",
    "status": "d.status",
    "taken_at": "d.taken_at",
    "snoozed_until": "d.snoozed_until",
    "recorded_by": "d.recorded_by_id",
    "skip_reason": "d.skip_reason",
    "note": "d.note",
}
MEDICATION_COLUMNS = ("m.name", "m.dosage", "m.color_tag")


def _statement(file: str) -> Statement:
    columns = ", ".join((*DOSE_COLUMNS.values(), *MEDICATION_COLUMNS))
    return Statement((_SQL / file).read_text().replace("{dose_columns}", columns), prepared=True)


_DAY = _statement("day.sql")
_TAKE = _statement("take.sql")


def day_of(claims: AccessClaims, day: date) -> dict[str, Any]:
    """The doses of the caller's local date `day`, in the shape of DayOutput. Raises SessionEnded."""
    rows = _DAY.rows(day=day, session_id=claims.session_id, user_id=claims.user_id)
    # A living session has at least one row, with the zone only if the day has no doses.
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
    """Takes a dose at the instant `occurred_at`, by default now. Returns it in the shape of DoseOutput.

    Returns None, without having written anything, if this is not the simple case. `override` is for doses
    before they are due and as-needed intakes, which never are. Raises SessionEnded.
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
            max_age=MAX_AGE,
        )
    except IntegrityError:
        # The same event id was sent twice at once: the action finds out whether that is a repeat or a
        # conflict.
        return None
    if not rows:
        raise SessionEnded
    # A row of nulls means that nothing was written: the action finds out why.
    (row,) = rows
    return None if row[0] is None else _as_output(row)


def _as_output(row: tuple[Any, ...]) -> dict[str, Any]:
    *dose, name, dosage, color_tag = row
    output = dict(zip(DOSE_COLUMNS, dose, strict=True))
    output["medication"] = {
        "id": output["medication"],
        "name": name,
        "dosage": dosage,
        "color_tag": color_tag,
    }
    return output
