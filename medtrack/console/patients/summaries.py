"""Refreshes the summaries of all patients for the console's list, in one statement.

It reads doses, answers, devices and reminders, and writes only `patient_summaries`. An advisory lock lets
only one process do it at a time.
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
# `recorded_at` is the beginning of a transaction, whose rows become visible at its end.
LONGEST_TRANSACTION = timedelta(hours=1)

_DAY = timedelta(days=1)
# The key of an advisory lock of the whole database. The export of patients has another one.
_LOCK = 7_305_814_022
_SQL = (Path(__file__).parent / "refresh_summaries.sql").read_text()


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The number of patients, of changed summaries, and of removed summaries of deleted patients."""

    patients: int
    written: int
    removed: int


def refresh(*, now: datetime, from_scratch: bool = False) -> Refreshed | None:
    """Returns None if another process is refreshing. `from_scratch` also reads all old answers again."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return None
        if from_scratch:
            cursor.execute(
                "UPDATE patient_summaries SET last_answer_at = NULL WHERE last_answer_at IS NOT NULL"
            )
        # Just-in-time compilation takes longer than it saves here.
        cursor.execute("SET LOCAL jit = off")
        before = None if from_scratch else refreshed_at()
        todays = {zone: now.astimezone(ZoneInfo(zone)).date() for zone in ZONES}
        parameters: dict[str, Any] = {
            "now": now,
            "today": now.date(),
            "zones": list(todays),
            "todays": list(todays.values()),
            # The zones' dates differ by up to two days: the range has room for all of them.
            "first": min(todays.values()) - DAYS * _DAY,
            "last": max(todays.values()) - _DAY,
            # Answers of transactions that were still running at the last refresh could not be seen by it.
            "since": before and before - LONGEST_TRANSACTION,
            "week_ago": now - WEEK,
            "needless": NEEDLESS,
            "first_push": first_id(now - WEEK - LONGEST_WAIT),
        }
        cursor.execute(_SQL, parameters)
        return Refreshed(*cursor.fetchone())


def refreshed_at() -> datetime | None:
    """Returns when the summaries were last refreshed. Only the first row is written every time."""
    return PatientSummary.objects.order_by("patient").values_list("refreshed_at", flat=True).first()
