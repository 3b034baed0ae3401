"""A dose of the past, and its row."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from dosing.models import DoseLog
from medtrack.database.ids import uuid7
from users.models import User

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Dose:
    """What a recount needs to know, as it was put in and not as it is stored."""

    medication: UUID
    schedule: UUID | None
    day: date
    due_at: datetime
    status: str
    taken_at: datetime | None = None
    is_awaited: bool = True
    is_withdrawn: bool = False


def row_of(user: User, dose: Dose) -> DoseLog:
    planned = dose.schedule is not None
    return DoseLog(
        id=uuid7(),
        user=user,
        medication_id=dose.medication,
        schedule_id=dose.schedule,
        log_date=dose.day,
        scheduled_time=time(8) if planned else None,
        due_at=dose.due_at if planned else None,
        answer_by=dose.due_at + 4 * HOUR if planned and dose.is_awaited else None,
        withdrawn_at=dose.due_at if dose.is_withdrawn else None,
        quantity=Decimal(1),
        status=dose.status,
        taken_at=dose.taken_at,
        recorded_by=user if dose.status in ("taken", "skipped") else None,
    )
