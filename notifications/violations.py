"""Checks the engine's invariants by the view `engine_violations`, one after the other. No health data."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from medtrack.database.clock import database_now
from notifications.models import EngineCheck

# Their names in the view, and what the console says of them.
INVARIANTS = {
    "I1": _("Every dose that falls due has exactly one record"),
    "I2": _("Every reminder reaches every active device"),
    "I3": _("No row leaves a final state"),
    "I8": _("Nothing is handed over after it expired"),
    "I9": _("No claim is left behind"),
    "I10": _("Nothing goes to a device that was signed out or revoked"),
    "I11": _("Nothing goes to a device that changed hands"),
    "I12": _("What was not sent says why"),
    "I13": _("No reminder comes after the answer"),
    "I14": _("No user gets more pushes than the limit"),
    "I15": _("Doses and their events agree"),
    "references": _("Nothing refers to what is not there"),
}
MEMORY = timedelta(days=90)

# One by one, so that the planner leaves the other branches of the view out.
_FIND = """
    SELECT detail, count(*), (array_agg(subject::text ORDER BY subject))[1:5]
    FROM engine_violations WHERE invariant = %s GROUP BY detail ORDER BY detail
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ViolatedInvariant:
    """An invariant that does not hold, for how many rows, and the ids of the first few.

    A missing constraint has none.
    """

    invariant: str
    detail: str
    count: int
    subjects: list[str]


def violations() -> Iterator[tuple[str, list[ViolatedInvariant]]]:
    """Checks the invariants and yields each with its violations. This takes a while on large tables."""
    for invariant in INVARIANTS:
        with connection.cursor() as cursor:
            cursor.execute(_FIND, [invariant])
            rows = cursor.fetchall()
        yield (
            invariant,
            [
                ViolatedInvariant(invariant, detail, count, [subject for subject in subjects if subject])
                for detail, count, subjects in rows
            ],
        )


def record_check() -> EngineCheck:
    """Checks every invariant and stores the counts for MEMORY."""
    started = time.monotonic()
    violated = [violation for _name, broken in violations() for violation in broken]
    counts: dict[str, int] = {}
    for violation in violated:
        counts[violation.invariant] = counts.get(violation.invariant, 0) + violation.count
        log.error(
            "invariant violated",
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
