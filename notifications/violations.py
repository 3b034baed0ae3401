"""Whether the engine keeps its word: the view `engine_violations`, asked invariant by invariant. No health data."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection, transaction

from medtrack.database.clock import database_now
from notifications.models import EngineCheck

INVARIANTS = ("I1", "I2", "I3", "I8", "I9", "I10", "I11", "I12", "I13", "I14", "I15", "references")
MEMORY = timedelta(days=90)

# One by one, so that the planner leaves the other branches of the view out.
_FIND = """
    SELECT detail, count(*), (array_agg(subject::text ORDER BY subject))[1:5]
    FROM engine_violations WHERE invariant = %s GROUP BY detail ORDER BY detail
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Violation:
    """What was found broken how often, and the ids of the first few rows; a missing constraint has no row."""

    invariant: str
    detail: str
    count: int
    subjects: list[str]


def violations() -> Iterator[tuple[str, list[Violation]]]:
    """Each invariant as it is checked, which takes a while on large tables, with what was found."""
    for invariant in INVARIANTS:
        with connection.cursor() as cursor:
            cursor.execute(_FIND, [invariant])
            rows = cursor.fetchall()
        yield (
            invariant,
            [
                Violation(invariant, detail, count, [subject for subject in subjects if subject])
                for detail, count, subjects in rows
            ],
        )


def record_check() -> EngineCheck:
    """Checks every invariant and keeps the counts for some months."""
    started = time.monotonic()
    found = [violation for _invariant, broken in violations() for violation in broken]
    counts: dict[str, int] = {}
    for violation in found:
        counts[violation.invariant] = counts.get(violation.invariant, 0) + violation.count
        log.error(
            "the engine broke its word",
            invariant=violation.invariant,
            detail=violation.detail,
            violations=violation.count,
            subjects=violation.subjects,
        )
    with transaction.atomic():
        check = EngineCheck.objects.create(
            ran_at=database_now(), seconds=round(time.monotonic() - started, 1), violations=counts
        )
        EngineCheck.objects.filter(ran_at__lt=check.ran_at - MEMORY).delete()
    return check
