"""What sums up every patient for the console's list: made anew in one statement, by as many processes as like to try.

It reads doses, answers, devices and reminders and writes `patient_summaries` alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from medtrack.console.models import PatientSummary
from medtrack.database.ids import first_id
from notifications.querysets import LONGEST_WAIT, NEEDLESS
from users.zones import ZONES

DAYS = 60
WEEK = timedelta(days=7)
# An answer is recorded at the beginning of its transaction, and seen at its end.
LONGEST_TRANSACTION = timedelta(hours=1)

_DAY = timedelta(days=1)
_LOCK = 7_305_814_022  # of the whole database; nothing else of ours takes such a lock
_SQL = (Path(__file__).parent / "refresh_summaries.sql").read_text()


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many patients there are, how many of their rows changed and how many went with their person."""

    patients: int
    written: int
    removed: int


def refresh(*, now: datetime, from_scratch: bool = False) -> Refreshed | None:
    """None when somebody else is doing it. From scratch it reads every answer ever given once more."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return None
        if from_scratch:
            cursor.execute(
                "UPDATE patient_summaries SET last_answer_at = NULL WHERE last_answer_at IS NOT NULL"
            )
        # Compiling it to machine code takes longer than it saves.
        cursor.execute("SET LOCAL jit = off")
        cursor.execute(_SQL, _parameters(now, None if from_scratch else refreshed_at()))
        return Refreshed(*cursor.fetchone())


def refreshed_at() -> datetime | None:
    """When the summaries were last made; the first row is written every time."""
    return PatientSummary.objects.order_by("patient").values_list("refreshed_at", flat=True).first()


def _parameters(now: datetime, before: datetime | None) -> dict[str, Any]:
    todays = {zone: now.astimezone(ZoneInfo(zone)).date() for zone in ZONES}
    return {
        "now": now,
        "today": now.date(),
        "zones": list(todays),
        "todays": list(todays.values()),
        "first": min(todays.values()) - DAYS * _DAY,
        "last": max(todays.values()) - _DAY,
        "since": before and before - LONGEST_TRANSACTION,
        "week_ago": now - WEEK,
        "needless": NEEDLESS,
        "first_push": first_id(now - WEEK - LONGEST_WAIT),
    }
