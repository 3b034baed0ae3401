"""The reminder queue: enqueue, claim and mark, each one statement of `sql/` on `notification_logs`.

Every time comparison is PostgreSQL's own clock. A claim is a lease with a token, committed before anything is
sent; a mark counts only while the token still holds. A row whose lease ran out is simply claimable again, so a
killed worker needs no clean-up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.db import connection

from dosing.planning import ANSWER_WINDOW
from notifications.transports.outcomes import Outcome, Verdict

LOOKAHEAD = timedelta(minutes=2)
DUE_LIFETIME = timedelta(minutes=30)
FOLLOW_UP_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Device:
    id: UUID
    token: str
    platform: str


@dataclass(slots=True)
class Push:
    """Reminders that go out as one message to each of a person's devices. Instants are UTC."""

    tag: UUID
    kind: str
    step: int
    send_at: datetime
    expires_at: datetime
    attempts: int
    language: str
    is_private: bool
    notification_ids: list[UUID] = field(default_factory=list)
    dose_ids: list[UUID] = field(default_factory=list)
    medicines: list[str] = field(default_factory=list)
    devices: dict[UUID, Device] = field(default_factory=dict)


class _Row(NamedTuple):
    """What a claim returns: one row per reminder and device, a moot reminder once."""

    now: datetime
    id: UUID
    tag: UUID
    kind: str
    step: int
    user_id: UUID
    dose_id: UUID
    send_at: datetime
    expires_at: datetime
    attempts: int
    language: str
    is_private: bool
    medicine: str
    obstacle: str | None
    device_id: UUID
    token: str
    platform: str


@dataclass(frozen=True)
class Claim:
    """What one claim leased: `examined` reminders, of which `pushes` are to be sent and the rest were moot."""

    lease_token: UUID
    examined: int
    pushes: list[Push]
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class Result:
    """FCM's answers to one push, by device; `retry_after` when some device is to be tried again."""

    push: Push
    outcomes: dict[UUID, Outcome]
    retry_after: timedelta | None

    @property
    def has_arrived(self) -> bool:
        return any(outcome.verdict is Verdict.ACCEPTED for outcome in self.outcomes.values())

    @property
    def fate(self) -> str:
        if self.retry_after is not None:
            return "queued"
        return "accepted" if self.has_arrived else "dead"

    @property
    def reason(self) -> str:
        """The error kept with a reminder that did not simply arrive everywhere."""
        return next((o.code for o in self.outcomes.values() if o.verdict is not Verdict.ACCEPTED), "")


@dataclass(frozen=True)
class Marked:
    """`lost` reminders belonged to another worker by then; `slowest` is the longest time from due to accepted."""

    lost: int
    slowest: timedelta | None


_DELIVERY_OUTCOME = {
    Verdict.ACCEPTED: "accepted",
    Verdict.RETRY: "retry",
    Verdict.DEAD: "dead",
    Verdict.REVOKE: "dead",
}


def _sql(name: str) -> str:
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()


_ENQUEUE_DUE = _sql("enqueue_due")
_ENQUEUE_FOLLOW_UPS = _sql("enqueue_follow_ups")
_CLAIM = _sql("claim")
_MARK = _sql("mark")
_REVOKE = _sql("revoke_tokens")


def enqueue() -> int:
    """Turns doses due in the next minutes, and unanswered ones, into reminders; returns how many are new."""
    with connection.cursor() as cursor:
        due_params = {"lookahead": LOOKAHEAD, "lifetime": DUE_LIFETIME, "window": ANSWER_WINDOW}
        _execute(cursor, _ENQUEUE_DUE, due_params)
        due = int(cursor.rowcount)
        _execute(cursor, _ENQUEUE_FOLLOW_UPS, {"lifetime": FOLLOW_UP_LIFETIME, "window": ANSWER_WINDOW})
        return due + int(cursor.rowcount)


def _execute(cursor: Any, sql: str, params: dict[str, Any]) -> None:
    """psycopg adapts intervals and arrays, of which Django's types know nothing."""
    cursor.execute(sql, params)


def claim(*, limit: int, lease: timedelta) -> Claim:
    """Leases up to `limit` pushes whose time has come, earliest first, and settles those that became moot."""
    lease_token = uuid4()
    with connection.cursor() as cursor:
        _execute(cursor, _CLAIM, {"limit": limit, "lease_token": lease_token, "lease": lease})
        rows = [_Row(*row) for row in cursor.fetchall()]
    sendable = [row for row in rows if row.obstacle is None]
    claimed_at = rows[0].now if rows else datetime.min.replace(tzinfo=UTC)
    return Claim(lease_token, len({row.id for row in rows}), _pushes(sendable), claimed_at)


def _pushes(rows: Iterable["_Row"]) -> list[Push]:
    """The rows, one per reminder and device, gathered into messages."""
    pushes: dict[tuple[UUID, str, int], Push] = {}
    for row in rows:
        push = pushes.get((row.tag, row.kind, row.step))
        if push is None:
            push = pushes[row.tag, row.kind, row.step] = Push(
                row.tag,
                row.kind,
                row.step,
                row.send_at,
                row.expires_at,
                row.attempts,
                row.language,
                row.is_private,
            )
        push.devices[row.device_id] = Device(row.device_id, row.token, row.platform)
        push.expires_at = min(push.expires_at, row.expires_at)
        if row.id not in push.notification_ids:
            push.notification_ids.append(row.id)
            push.dose_ids.append(row.dose_id)
            push.medicines.append(row.medicine)
    return list(pushes.values())


def mark(*, lease_token: UUID, results: Sequence[Result]) -> Marked:
    """Records FCM's answers to those reminders that this lease still holds."""
    reminders = [(id, result) for result in results for id in result.push.notification_ids]
    deliveries = [
        (id, device_id, outcome)
        for id, result in reminders
        for device_id, outcome in result.outcomes.items()
        if outcome.verdict is not Verdict.UNSENT
    ]
    params = {
        "lease_token": lease_token,
        "ids": [id for id, _ in reminders],
        "fates": [result.fate for _, result in reminders],
        "reasons": [result.reason for _, result in reminders],
        "accepted": [result.has_arrived for _, result in reminders],
        "retries": [result.retry_after for _, result in reminders],
        "delivery_ids": [id for id, _, _ in deliveries],
        "device_ids": [device_id for _, device_id, _ in deliveries],
        "outcomes": [_DELIVERY_OUTCOME[outcome.verdict] for _, _, outcome in deliveries],
        "message_ids": [outcome.message_id for _, _, outcome in deliveries],
        "error_codes": [outcome.code for _, _, outcome in deliveries],
    }
    with connection.cursor() as cursor:
        _execute(cursor, _MARK, params)
        held, slowest = cursor.fetchone()
    return Marked(lost=len(reminders) - held, slowest=slowest)


def revoke_tokens(*, results: Sequence[Result], claimed_at: datetime) -> None:
    """Tokens that FCM called dead are not pushed to again, unless they registered anew since the claim."""
    dead = {
        device_id: outcome.code
        for result in results
        for device_id, outcome in result.outcomes.items()
        if outcome.verdict is Verdict.REVOKE
    }
    if dead:
        with connection.cursor() as cursor:
            cursor.execute(_REVOKE, [list(dead), list(dead.values()), claimed_at])
