"""Runs one fault and judges by the two records that cannot be argued with: FCM's ledger and our rows."""

import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from medtrack.tests.faults.registry import FAULTS
from medtrack.tests.faults.stage import Stage
from medtrack.tests.support.ledger import compare

ENDS = """
    SELECT n.status, n.reason, count(*) FROM notification_logs n WHERE n.status <> 'accepted' GROUP BY 1, 2
"""
VIOLATIONS = "SELECT invariant, detail, count(*) FROM engine_violations GROUP BY 1, 2"
UNTOLD = """
    SELECT count(*) FROM dose_logs d
    WHERE d.status = 'pending' AND d.due_at <= clock_timestamp() AND d.answer_by > clock_timestamp()
        AND NOT EXISTS (SELECT FROM notification_logs n WHERE n.dose_id = d.id)
"""
# The phones that were there at the claim and are alive, without a push of a reminder that is called accepted.
PASSED_OVER = """
    SELECT count(*) FROM notification_logs n JOIN device_tokens t ON t.user_id = n.user_id
    WHERE n.status = 'accepted' AND n.kind <> 'withdraw' AND t.revoked_at IS NULL AND t.last_seen_at < n.claimed_at
        AND NOT EXISTS (
            SELECT FROM push_deliveries p
            WHERE p.notification_id = n.id AND p.device_id = t.id AND p.outcome = 'accepted'
        )
"""


@dataclass(frozen=True)
class Report:
    """`lost` reminders, pushes FCM took more than once, how many of these the fault explains, and what else is wrong.

    `seconds` are from the end of the fault to the end of the last reminder, skipped leases and pauses included.
    """

    fault: str
    lost: int
    repeats: int
    explained: int
    seconds: float
    complaints: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.lost and self.repeats == self.explained and not self.complaints


def run(name: str, stage: Stage) -> Report:
    stage.clear()
    try:
        FAULTS[name](stage)
        stage.recover()
    except AssertionError as error:
        return Report(name, _lost(stage)[0], 0, 0, 0.0, [_said(error)])
    stage.stop_workers()
    return _judge(name, stage)


def _judge(name: str, stage: Stage) -> Report:
    lost, complaints = _lost(stage)
    found = compare(stage.ledger(), stage.rows)
    lost += len(found.lost)
    for what, names in (
        ("not in FCM's ledger", found.lost),
        ("not known to us", found.unknown),
        ("repeated under another tag", found.changed_tags),
        ("handed over after its expiry", found.late),
    ):
        complaints += [f"{what}: {name}" for name in names]
    complaints += [" ".join(map(str, row.values())) for row in stage.rows(VIOLATIONS)]
    return Report(name, lost, found.repeats, len(stage.may_repeat), stage.recovery_seconds, complaints)


def _lost(stage: Stage) -> tuple[int, list[str]]:
    """How many reminders did not arrive without an excuse, and the excuses that nobody needed."""
    ends: Counter[str] = Counter()
    for row in stage.rows(ENDS):
        ends[row["reason"] or row["status"]] += row["count"]
    unexcused, unneeded = ends - stage.excused, stage.excused - ends
    lost = unexcused.total() + stage.rows(UNTOLD)[0]["count"] + stage.rows(PASSED_OVER)[0]["count"]
    complaints = [f"{count} reminders say {reason}" for reason, count in unexcused.items()]
    return lost, complaints + [f"{count} reminders do not say {reason}" for reason, count in unneeded.items()]


def _said(error: AssertionError) -> str:
    """Its own words, or the line it stands on."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return str(error) or f"{Path(place.filename).name}:{place.lineno}: {place.line}"
