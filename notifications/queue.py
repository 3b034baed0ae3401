"""The reminder queue: enqueue, claim, hold and mark, each a statement of `sql/` on `notification_logs`.

All times are compared by PostgreSQL's clock. A claim is a lease with a token and is committed before anything
is sent. A mark is written only while the lease has this token. A row whose lease ran out can be claimed
again, so a killed worker needs no clean-up. Ids are text here, as psycopg reads them and messages carry them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import transaction

from dosing.planning import ANSWER_WINDOW
from medtrack.database.ids import uuid7_text
from medtrack.database.statements import Statement
from notifications.counters import BOUNDS, count_answers, count_moot
from notifications.explanations import Reason
from notifications.quiet_hours import quiet_until
from notifications.transports.results import FcmResult, FcmResultKind

LOOKAHEAD = timedelta(minutes=2)
DUE_LIFETIME = timedelta(minutes=30)
FOLLOW_UP_LIFETIME = timedelta(minutes=15)
WITHDRAWAL_LIFETIME = timedelta(hours=1)
WITHDRAWAL_MEMORY = timedelta(minutes=5)
SEPARATOR = "\x1f"  # of array elements that are sent as one text
# Pushes to one user in one hour that are not for a dose that falls due.
MAX_PUSHES_BESIDES_DUE = 20
# Devices that one push goes to, the last seen first. Accounts from before the limit of devices may have more.
MAX_DEVICES_OF_PUSH = 100

log = structlog.get_logger(__name__)


class Turn(StrEnum):
    """Which pushes a claim takes: about doses, tests, or one that outran its lease twice."""

    DOSES = "dose"
    TESTS = "test"
    ALONE = "alone"


@dataclass(slots=True)
class Push:
    """Reminders that are sent as one message to each of a user's devices, under one lease.

    `claimed_at` and `expires_at` are seconds since the epoch by PostgreSQL's clock. `devices` maps device ids
    to registration tokens; `probed` are the ids of those whose token is suspect. `held_until` is the end of
    the user's quiet hours if the push has to wait for it.
    """

    lease_token: str
    claimed_at: float
    user_id: str
    tag: str
    kind: str
    step: int
    expires_at: float
    attempts: int
    language: str
    is_private: bool
    answer_by: str | None = None  # PostgreSQL's text, because its instants reach further than Python's
    held_until: datetime | None = None
    notification_ids: list[str] = field(default_factory=list)
    dose_ids: list[str] = field(default_factory=list)
    medicines: list[str] = field(default_factory=list)
    devices: dict[str, str] = field(default_factory=dict)
    probed: frozenset[str] = frozenset()


class _ClaimedRow(NamedTuple):
    """One reminder of a claim. Only the first row of each push has the devices."""

    now: float
    id: str
    user_id: str
    tag: str
    kind: str
    step: int
    dose_id: str | None
    expires_at: float
    attempts: int
    language: str
    is_private: bool
    medicine: str | None
    reason: str | None
    device_ids: list[str] | None
    tokens: list[str] | None
    probed: list[str] | None
    answer_by: str | None
    timezone: str | None
    quiet_from: time | None
    quiet_to: time | None
    device_id: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """`examined` counts the reminders that a claim read.

    Those of `pushes` are leased, the others were moot or wait.
    """

    examined: int
    pushes: list[Push]


@dataclass(frozen=True, slots=True)
class PushResult:
    """FCM's answers to one push by device id, and after which time the rest is tried again, if any is."""

    push: Push
    outcomes: Mapping[str, FcmResult]
    retry_after: timedelta | None

    @property
    def is_accepted(self) -> bool:
        return any(outcome.kind is FcmResultKind.ACCEPTED for outcome in self.outcomes.values())

    @property
    def status(self) -> str:
        if self.retry_after is not None:
            return "queued"
        return "accepted" if self.is_accepted else "dead"

    @property
    def reason(self) -> str:
        """The first error, kept with a reminder that FCM did not accept for all devices."""
        return next(
            (o.error_code for o in self.outcomes.values() if o.kind is not FcmResultKind.ACCEPTED), ""
        )


@dataclass(frozen=True)
class Marked:
    """`lost` reminders had another worker by then; `slowest` is the longest time from due to accepted."""

    lost: int
    slowest: timedelta | None


_DELIVERY_OUTCOME = {
    FcmResultKind.ACCEPTED: "accepted",
    FcmResultKind.RETRY: "retry",
    FcmResultKind.SUSPECT: "retry",
    FcmResultKind.REFUSED: "retry",
    FcmResultKind.DEAD: "dead",
    FcmResultKind.REVOKE: "dead",
}


_SQL = Path(__file__).parent / "sql"
_AHEAD = {"lookahead": LOOKAHEAD, "lifetime": DUE_LIFETIME, "window": ANSWER_WINDOW}
_DUE = Statement.of(_SQL / "enqueue_due.sql")
_SNOOZED = Statement.of(_SQL / "enqueue_snoozed.sql")
_REOPENED = Statement.of(_SQL / "enqueue_reopened.sql")
_WITHDRAWALS = Statement.of(_SQL / "enqueue_withdrawals.sql")
_FOLLOW_UPS = Statement.of(_SQL / "enqueue_follow_ups.sql")
_CLAIM = Statement.of(_SQL / "claim.sql")
_HOLD = Statement.of(_SQL / "hold.sql")
_MARK = Statement.of(_SQL / "mark.sql")
_NO_SEQSCAN = Statement("SET LOCAL enable_seqscan = off")
# Makes the planner look up rows one by one by key: its statistics are from quiet hours.
_BY_KEY = Statement("""
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL max_parallel_workers_per_gather = 0
""")


def enqueue() -> int:
    """Creates reminders of doses due within LOOKAHEAD, of ended snoozes and of answers that were taken back,
    and withdrawals.

    Returns how many are new.
    """
    return _count_enqueued(
        _DUE.rows(**_AHEAD)
        + _remind_again()
        + _WITHDRAWALS.rows(lifetime=WITHDRAWAL_LIFETIME, memory=WITHDRAWAL_MEMORY, window=ANSWER_WINDOW)
    )


def enqueue_follow_ups() -> int:
    """Creates follow-ups of doses without an answer. Returns how many are new, with those of ended snoozes
    and of answers that were taken back.

    It reads every open dose, so it runs less often than `enqueue`.
    """
    # First the others: a dose that has just got one of them gets no follow-up as well.
    again = _remind_again()
    follow_ups = _FOLLOW_UPS.rows(
        lifetime=FOLLOW_UP_LIFETIME, window=ANSWER_WINDOW, cap=MAX_PUSHES_BESIDES_DUE
    )
    return _count_enqueued(again + follow_ups)


def _remind_again() -> list[tuple[str, int]]:
    return _SNOOZED.rows(**_AHEAD) + _REOPENED.rows(lifetime=DUE_LIFETIME, window=ANSWER_WINDOW)


def _count_enqueued(rows: Iterable[tuple[str, int]]) -> int:
    # The rows are pairs of a reason, empty for what is queued, and the number of new reminders with it.
    reasons: Counter[str] = Counter()
    for reason, count in rows:
        reasons[reason] += count
    count_moot({reason: count for reason, count in reasons.items() if reason})
    return reasons.total()


def claim(*, limit: int, lease: timedelta, turn: Turn = Turn.DOSES, project: str = "") -> Claim:
    """Leases up to `limit` pushes that are due, earliest expiry first, and closes reminders that are moot.

    `project` is the Firebase project that sends them. Call it outside a transaction: the lease must be
    committed before anything is sent.
    """
    lease_token = str(uuid4())
    with transaction.atomic():
        _BY_KEY.execute()
        claimed = _CLAIM.rows(
            limit=limit,
            lease_token=lease_token,
            lease=lease,
            turn=turn,
            project=project,
            devices=max(MAX_DEVICES_OF_PUSH, settings.LIMITS.devices),
        )
        rows = [_ClaimedRow(*row) for row in claimed]
        # A reminder that was tried before is closed as accepted or dead, not as moot. Counting comes last, so
        # that the counters' rows are locked only until the commit.
        count_moot(
            Counter(
                row.reason for row in rows if row.reason not in (None, "device_in_doubt") and not row.attempts
            )
        )
    return Claim(len(rows), _pushes(lease_token, rows))


def _pushes(lease_token: str, rows: Sequence[_ClaimedRow]) -> list[Push]:
    # Rows with a reason are closed or wait. The others are grouped into pushes.
    # The devices may be in a row that has become moot, while other doses of the push still wait.
    first = {(row.tag, row.kind, row.step, row.device_id): row for row in rows if row.device_ids}
    pushes: dict[tuple[str, str, int, str | None], Push] = {}
    for row in rows:
        if row.reason is not None:
            continue
        key = (row.tag, row.kind, row.step, row.device_id)
        push = pushes.get(key)
        if push is None:
            push = pushes[key] = Push(
                lease_token,
                row.now,
                row.user_id,
                row.tag,
                row.kind,
                row.step,
                row.expires_at,
                row.attempts,
                row.language,
                row.is_private,
                row.answer_by,
                _held_until(row),
                devices=dict(zip(first[key].device_ids or (), first[key].tokens or (), strict=True)),
                probed=frozenset(first[key].probed or ()),
            )
        push.notification_ids.append(row.id)
        push.dose_ids += [row.dose_id] if row.dose_id else []
        push.medicines += [row.medicine] if row.medicine else []
    return list(pushes.values())


def _held_until(row: _ClaimedRow) -> datetime | None:
    if row.timezone is None or row.quiet_from is None or row.quiet_to is None:
        return None
    now = datetime.fromtimestamp(row.now, UTC)
    try:
        zone = ZoneInfo(row.timezone)
    except (LookupError, OSError, ValueError):
        # An invalid zone of one user must not stop the pushes of others.
        log.exception(
            "invalid time zone, quiet hours are ignored", timezone=row.timezone, notification_id=row.id
        )
        return None
    return quiet_until(now, zone=zone, start=row.quiet_from, end=row.quiet_to)


def hold(pushes: Sequence[Push]) -> None:
    """Puts pushes back until the quiet hours end, or closes them if the answer window ends before."""
    held = [(id, push) for push in pushes for id in push.notification_ids]
    statuses = _HOLD.rows(
        ids=[id for id, _ in held],
        lease_tokens=[push.lease_token for _, push in held],
        untils=[push.held_until for _, push in held],
        answer_bys=[push.answer_by for _, push in held],
        lifetime=FOLLOW_UP_LIFETIME,
    )
    moot = sum(status == "moot" for (status,) in statuses)
    count_moot({Reason.QUIET_HOURS.value: moot} if moot else {})


def mark(results: Sequence[PushResult]) -> Marked:
    """Writes FCM's answers to the reminders whose lease still holds, one row per reminder and device."""
    # A dispatcher that was paused may have claimed a push twice. Only its later lease holds.
    by_claim = sorted(results, key=lambda result: result.push.claimed_at)
    answered = [(id, result) for result in by_claim for id in result.push.notification_ids]
    reminders = list(dict(answered).items())
    deliveries = [
        (id, device_id, outcome)
        for id, result in reminders
        for device_id, outcome in result.outcomes.items()
        if outcome.kind is not FcmResultKind.UNSENT
    ]
    params = {
        "ids": _column(id for id, _ in reminders),
        "lease_tokens": _column(result.push.lease_token for _, result in reminders),
        "statuses": _column(result.status for _, result in reminders),
        "reasons": _column(result.reason for _, result in reminders),
        "accepted": _column("t" if result.is_accepted else "f" for _, result in reminders),
        "retries": _column(
            "" if result.retry_after is None else str(result.retry_after.total_seconds())
            for _, result in reminders
        ),
        "delivery_ids": _column(uuid7_text() for _ in deliveries),
        "notification_ids": _column(id for id, _, _ in deliveries),
        "device_ids": _column(device_id for _, device_id, _ in deliveries),
        "outcomes": _column(_DELIVERY_OUTCOME[outcome.kind] for _, _, outcome in deliveries),
        "message_ids": _column(outcome.message_id for _, _, outcome in deliveries),
        "error_codes": _column(outcome.error_code for _, _, outcome in deliveries),
        "bounds": list(BOUNDS),
    }
    with transaction.atomic():
        # The planner's statistics are from quiet hours, when reading the whole table is cheap.
        _NO_SEQSCAN.execute()
        rows = _MARK.rows(**params)
        # Rows without an outcome count reminders by bucket of lateness, the others count deliveries.
        held = [row for row in rows if row[1] is None]
        count_answers(
            {(outcome, code): count for _, outcome, code, count, _, _ in rows if outcome is not None},
            {bucket: count for bucket, _, _, count, _, _ in held if bucket is not None},
            sum(row[5] for row in held),
        )
    return Marked(
        lost=len(answered) - sum(row[3] for row in held),
        slowest=max((row[4] for row in held if row[4] is not None), default=None),
    )


def _column(values: Iterable[str]) -> str:
    # An array as one text is a tenth of the cost of psycopg's arrays. No value has control characters.
    return SEPARATOR.join(values)
