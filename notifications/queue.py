"""The reminder queue: enqueue, claim, hold and mark, each a statement of `sql/` on `notification_logs`.

Every time comparison is PostgreSQL's own clock. A claim is a lease with a token, committed before anything is
sent; a mark counts only while the token still holds. A row whose lease ran out is simply claimable again, so a
killed worker needs no clean-up. Ids are text here: that is how they came and how they go on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import connection, transaction

from dosing.planning import ANSWER_WINDOW
from medtrack.database.ids import uuid7_text
from notifications.counters import BOUNDS, count_answers, count_moot
from notifications.explanations import Reason
from notifications.quiet_hours import quiet_until
from notifications.transports.results import FcmResult, FcmResultKind

LOOKAHEAD = timedelta(minutes=2)
DUE_LIFETIME = timedelta(minutes=30)
FOLLOW_UP_LIFETIME = timedelta(minutes=15)
WITHDRAWAL_LIFETIME = timedelta(hours=1)
WITHDRAWAL_MEMORY = timedelta(minutes=5)
SEPARATOR = "\x1f"  # in the texts that stand for arrays
# Of one person in one hour; what falls due is never counted out.
MAX_PUSHES_BESIDES_DUE = 20
# That one push goes to, those seen last: more than an account can have, unless it had them before there was a limit.
MOST_DEVICES = 100

log = structlog.get_logger(__name__)


class Turn(StrEnum):
    """What one claim takes: dose pushes, test pushes, or a push that outran its lease twice."""

    DOSES = "dose"
    TESTS = "test"
    ALONE = "alone"


@dataclass(slots=True)
class Push:
    """Reminders that go out as one message to each of a person's devices, all under one lease.

    `claimed_at` and `expires_at` are seconds since the epoch, of PostgreSQL's clock; `devices` maps the device's id to its registration token;
    `probed` are those of them whose token is suspect; `held_until` is when the person's quiet hours end, for a push
    that has to wait for that.
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
    answer_by: str | None = None  # PostgreSQL's text: it knows instants that Python cannot read
    held_until: datetime | None = None
    notification_ids: list[str] = field(default_factory=list)
    dose_ids: list[str] = field(default_factory=list)
    medicines: list[str] = field(default_factory=list)
    devices: dict[str, str] = field(default_factory=dict)
    probed: frozenset[str] = frozenset()


class _Row(NamedTuple):
    """What a claim returns: one row per reminder, the first of each push with the devices."""

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

    @property
    def is_moot(self) -> bool:
        return self.reason not in (None, "device_in_doubt") and not self.attempts


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim leased: `examined` reminders, of which `pushes` may be sent and the rest were moot."""

    examined: int
    pushes: list[Push]


@dataclass(frozen=True, slots=True)
class PushResult:
    """FCM's answers to one push, by device; `retry_after` when some device is to be tried again."""

    push: Push
    outcomes: Mapping[str, FcmResult]
    retry_after: timedelta | None

    @property
    def has_arrived(self) -> bool:
        return any(outcome.kind is FcmResultKind.ACCEPTED for outcome in self.outcomes.values())

    @property
    def status(self) -> str:
        if self.retry_after is not None:
            return "queued"
        return "accepted" if self.has_arrived else "dead"

    @property
    def reason(self) -> str:
        """The error kept with a reminder that did not simply arrive everywhere."""
        return next(
            (o.error_code for o in self.outcomes.values() if o.kind is not FcmResultKind.ACCEPTED), ""
        )


@dataclass(frozen=True)
class Marked:
    """`lost` reminders belonged to another worker by then; `slowest` is the longest time from due to accepted."""

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


def _sql(name: str) -> str:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()


_Statement = tuple[str, dict[str, Any]]

_AHEAD = {"lookahead": LOOKAHEAD, "lifetime": DUE_LIFETIME, "window": ANSWER_WINDOW}
_DUE: _Statement = (_sql("enqueue_due"), _AHEAD)
_SNOOZED: _Statement = (_sql("enqueue_snoozed"), _AHEAD)
_WITHDRAWALS: _Statement = (
    _sql("enqueue_withdrawals"),
    {"lifetime": WITHDRAWAL_LIFETIME, "memory": WITHDRAWAL_MEMORY},
)
_FOLLOW_UPS: _Statement = (
    _sql("enqueue_follow_ups"),
    {"lifetime": FOLLOW_UP_LIFETIME, "window": ANSWER_WINDOW, "cap": MAX_PUSHES_BESIDES_DUE},
)
_CLAIM = _sql("claim")
_HOLD = _sql("hold")
_MARK = _sql("mark")

# Row by row along the keys, whatever the statistics say: they come from quiet hours.
_BY_KEY = """
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL max_parallel_workers_per_gather = 0
"""


def enqueue() -> int:
    """Turns doses due in the next minutes, ended snoozes and answers given elsewhere into reminders; returns how
    many are new."""
    return _enqueue(_DUE, _SNOOZED, _WITHDRAWALS)


def enqueue_follow_ups() -> int:
    """Turns doses that nobody has answered into reminders; returns how many are new. It looks at every open dose,
    so it runs less often. An ended snooze goes first, so that it is not followed up as well."""
    return _enqueue(_SNOOZED, _FOLLOW_UPS)


def _enqueue(*statements: _Statement) -> int:
    reasons: Counter[str] = Counter()
    with connection.cursor() as cursor:
        for sql, params in statements:
            _execute(cursor, sql, params)
            reasons.update(dict(cursor.fetchall()))
    count_moot({reason: count for reason, count in reasons.items() if reason})
    return reasons.total()


def _execute(cursor: Any, sql: str, params: Mapping[str, Any]) -> int:
    """The rows touched. psycopg adapts intervals and arrays, of which Django's types know nothing."""
    cursor.execute(sql, params)
    return int(cursor.rowcount)


def claim(*, limit: int, lease: timedelta, turn: Turn = Turn.DOSES, project: str = "") -> Claim:
    """Leases up to `limit` pushes whose time has come, earliest expiry first, and settles those that became moot.

    `project` is the Firebase project that is to send them. Must not run inside a transaction that goes on to send.
    """
    lease_token = str(uuid4())
    params = {"limit": limit, "lease_token": lease_token, "lease": lease, "turn": turn, "project": project}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_BY_KEY)
        _execute(cursor, _CLAIM, params | {"devices": max(MOST_DEVICES, settings.LIMITS.devices)})
        rows = [_Row(*row) for row in cursor.fetchall()]
        # What was tried before is closed as accepted or dead.
        count_moot(Counter(row.reason for row in rows if row.reason and row.is_moot))
    return Claim(len(rows), _pushes(lease_token, rows))


def _pushes(lease_token: str, rows: Sequence["_Row"]) -> list[Push]:
    """The rows that are to be sent, one per reminder, gathered into messages."""
    # Also by a row that has become moot: the other doses of its push may still be waiting.
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


def _held_until(row: "_Row") -> datetime | None:
    if row.timezone is None or row.quiet_from is None or row.quiet_to is None:
        return None
    now = datetime.fromtimestamp(row.now, UTC)
    try:
        zone = ZoneInfo(row.timezone)
    except (LookupError, OSError, ValueError):  # one person's damaged zone must not hold up the others
        log.exception("quiet hours cannot be told", timezone=row.timezone, notification_id=row.id)
        return None
    return quiet_until(now, zone=zone, start=row.quiet_from, end=row.quiet_to)


def hold(pushes: Sequence[Push]) -> None:
    """Puts pushes back until their people's quiet hours end, or gives them up if that is after the answer window."""
    held = [(id, push) for push in pushes for id in push.notification_ids]
    params = {
        "ids": [id for id, _ in held],
        "lease_tokens": [push.lease_token for _, push in held],
        "untils": [push.held_until for _, push in held],
        "answer_bys": [push.answer_by for _, push in held],
        "lifetime": FOLLOW_UP_LIFETIME,
    }
    with connection.cursor() as cursor:
        _execute(cursor, _HOLD, params)
        given_up = sum(status == "moot" for (status,) in cursor.fetchall())
    count_moot({Reason.QUIET_HOURS.value: given_up} if given_up else {})


def mark(results: Sequence[PushResult]) -> Marked:
    """Records FCM's answers to those reminders whose lease still holds."""
    # A dispatcher that was paused may have claimed its own push again: the later lease counts.
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
        "accepted": _column("t" if result.has_arrived else "f" for _, result in reminders),
        "retries": _column(_seconds(result.retry_after) for _, result in reminders),
        "delivery_ids": _column(uuid7_text() for _ in deliveries),
        "notification_ids": _column(id for id, _, _ in deliveries),
        "device_ids": _column(device_id for _, device_id, _ in deliveries),
        "outcomes": _column(_DELIVERY_OUTCOME[outcome.kind] for _, _, outcome in deliveries),
        "message_ids": _column(outcome.message_id for _, _, outcome in deliveries),
        "error_codes": _column(outcome.error_code for _, _, outcome in deliveries),
        "bounds": list(BOUNDS),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        _execute(cursor, _MARK, params)
        rows = cursor.fetchall()
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
    """An array as one text, which costs a tenth of psycopg's; none of our values holds a control character."""
    return SEPARATOR.join(values)


def _seconds(wait: timedelta | None) -> str:
    return "" if wait is None else str(wait.total_seconds())
