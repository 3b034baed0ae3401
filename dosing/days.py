"""The two most frequent requests, one prepared statement each: reading the doses of a day, and taking a dose.

Each statement checks the caller's session itself, so that a session that has ended is refused at once. Taking
handles only the simple case, a planned dose that was due and is pending or missed; the others are left to
`dosing.actions.doses`.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError
from psycopg.types.json import Jsonb

from dosing.actions.checks import CLOCK_SKEW, MAX_AGE
from dosing.actions.events import payload_of
from dosing.as_taken import EARLIER_DESCRIPTION
from dosing.cycles import due_instant
from dosing.planning import HORIZON, RULE_ERRORS
from dosing.serializers import DoseOutput
from dosing.upcoming import planned_doses_of_day
from medications.models import DESCRIPTION_FIELDS
from medtrack.database.ids import uuid7
from medtrack.database.statements import Statement
from medtrack.http.responses import serialized
from users.authentication import SessionEnded
from users.models import User
from users.tokens import AccessClaims

_DAY_LENGTH = timedelta(days=1)
# No zone of the tz database was ever further from UTC.
_FURTHEST = timedelta(hours=16)
# Up to here doses are written: the planner runs every few minutes.
_PLANNED_AHEAD = HORIZON - timedelta(hours=1)

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
MEDICATION_COLUMNS = (*(f"m.{name}" for name in DESCRIPTION_FIELDS), "m.color_tag", EARLIER_DESCRIPTION)


def _statement(file: str) -> Statement:
    columns = ", ".join((*DOSE_COLUMNS.values(), *MEDICATION_COLUMNS))
    return Statement((_SQL / file).read_text().replace("{dose_columns}", columns), prepared=True)


_DAY = _statement("day.sql")
_TAKE = _statement("take.sql")


def day_of(claims: AccessClaims, day: date, *, now: datetime) -> dict[str, Any]:
    """The doses of the caller's local date `day`, in the shape of DayOutput. Raises SessionEnded.

    They are those with this log date, written or not, and those of a date beside it that were taken within
    the day of the zone that the caller is in now.
    """
    midnight = datetime.combine(day, time.min, UTC)
    rows = _DAY.rows(
        day=day,
        since=midnight - _FURTHEST,
        until=midnight + _DAY_LENGTH + _FURTHEST,
        session_id=claims.session_id,
        user_id=claims.user_id,
    )
    # A living session has at least one row, with the zone only if the day has no doses.
    if not rows:
        raise SessionEnded
    timezone = rows[0][0]
    try:
        zone = ZoneInfo(timezone)
    except RULE_ERRORS:
        # The tz database has dropped the zone: what is written can still be shown.
        zone = None
    doses = list(_written_on(day, zone, (row[1:] for row in rows if row[1])))
    if zone and due_instant(day + _DAY_LENGTH, time.min, zone) > now + _PLANNED_AHEAD:
        doses += _planned_on(day, claims.user_id)
    return {"date": day, "timezone": timezone, "results": sorted(doses, key=_order)}


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


def _written_on(
    day: date, zone: ZoneInfo | None, rows: Iterable[tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    for row in rows:
        dose = _as_output(row)
        if dose["log_date"] != day:
            if zone is None or dose["taken_at"].astimezone(zone).date() != day:
                continue
            dose["also_on"] = dose["log_date"]
        yield dose


def _planned_on(day: date, user_id: UUID) -> Iterator[dict[str, Any]]:
    for dose in planned_doses_of_day(User.objects.get(id=user_id), day):
        # Not as text, by which the doses would not be ordered.
        yield serialized(DoseOutput, dose) | {"id": dose.id, "due_at": dose.due_at}


def _order(dose: dict[str, Any]) -> tuple[datetime, UUID]:
    """By when it is due or was taken; what is here because it was taken on this day, by when it was taken."""
    return dose["taken_at"] if dose["also_on"] else dose["due_at"] or dose["taken_at"], dose["id"]


def _as_output(row: tuple[Any, ...]) -> dict[str, Any]:
    *dose, name, dosage, form, strength, unit, color_tag, earlier = row
    output = dict(zip(DOSE_COLUMNS, dose, strict=True))
    output["medication"] = {
        "id": output["medication"],
        "name": name,
        "dosage": dosage,
        "strength": strength,
        "form": form,
        "unit": unit,
        "color_tag": color_tag,
        "current_name": name,
    }
    # Rare: the medication was described otherwise when the dose was answered.
    if earlier is not None:
        output["medication"] |= json.loads(earlier)
    output["also_on"] = None
    return output
