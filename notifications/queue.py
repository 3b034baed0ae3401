"""The reminder queue: enqueue, claim and mark, each one statement on `notification_logs`.

Every time comparison is PostgreSQL's own clock. A claim is a lease with a token, committed before anything is
sent; a mark counts only while the token still holds. A row whose lease ran out is simply claimable again, so a
killed worker needs no clean-up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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

# One row per (dose, kind, step) makes a repeat harmless. Doses of one person due in the same minute share a tag.
# What is too late to be useful is recorded as moot: it says why nothing came. The order of the rows is the same
# for everybody who enqueues, so that two of them wait for each other and never in a circle.
_ENQUEUE_DUE = """
    WITH due AS MATERIALIZED (
        SELECT medtrack_uuid7() AS id, d.id AS dose_id, d.user_id, d.schedule_id, d.due_at,
               least(d.due_at + %(lifetime)s, d.answer_by) AS expires_at
        FROM dose_logs d
        JOIN schedules s ON s.id = d.schedule_id AND s.reminder_enabled
        WHERE d.status = 'pending'
          AND d.due_at <= statement_timestamp() + %(lookahead)s
          AND d.due_at > statement_timestamp() - %(window)s
          AND NOT EXISTS (
              SELECT FROM notification_logs n WHERE n.dose_id = d.id AND n.kind = 'due' AND n.step = 0
          )
    )
    INSERT INTO notification_logs
        (id, user_id, dose_id, schedule_id, kind, step, tag, send_at, expires_at, status, reason)
    SELECT id, user_id, dose_id, schedule_id, 'due', 0,
           first_value(id) OVER (PARTITION BY user_id, due_at ORDER BY id), due_at, expires_at,
           CASE WHEN expires_at > statement_timestamp() THEN 'queued' ELSE 'moot' END,
           CASE WHEN expires_at > statement_timestamp() THEN '' ELSE 'expired' END
    FROM due
    ORDER BY dose_id
    ON CONFLICT (dose_id, kind, step) DO NOTHING
"""

# A follow-up comes some time after the last reminder of its dose was handed over or given up. It keeps the tag,
# so that on the phone it takes that reminder's place, unless another push with this tag and step is on its way.
_ENQUEUE_FOLLOW_UPS = """
    WITH open AS MATERIALIZED (
        SELECT d.id, d.answer_by
        FROM dose_logs d
        WHERE d.status = 'pending'
          AND d.due_at <= statement_timestamp()
          AND d.due_at > statement_timestamp() - %(window)s
          AND d.answer_by > statement_timestamp()
    ), next AS MATERIALIZED (
        SELECT medtrack_uuid7() AS id, last.user_id, last.dose_id, last.schedule_id, last.tag,
               (last.step + 1)::smallint AS step, open.answer_by
        FROM open
        CROSS JOIN LATERAL (
            SELECT n.user_id, n.dose_id, n.schedule_id, n.tag, n.step, n.status, n.send_at, n.sent_at
            FROM notification_logs n
            WHERE n.dose_id = open.id AND n.kind IN ('due', 'follow_up')
            ORDER BY n.step DESC LIMIT 1
        ) last
        JOIN users u ON u.id = last.user_id AND last.step < u.follow_up_cap
        JOIN schedules s ON s.id = last.schedule_id AND s.reminder_enabled
        WHERE (last.sent_at IS NOT NULL OR last.status IN ('moot', 'dead'))
          AND coalesce(last.sent_at, last.send_at)
              <= statement_timestamp() - make_interval(mins => u.follow_up_interval_minutes)
    )
    INSERT INTO notification_logs (id, user_id, dose_id, schedule_id, kind, step, tag, send_at, expires_at, status)
    SELECT id, user_id, dose_id, schedule_id, 'follow_up', step,
           CASE WHEN EXISTS (
               SELECT FROM notification_logs n
               WHERE n.tag = next.tag AND n.kind = 'follow_up' AND n.step = next.step
           ) THEN id ELSE tag END,
           statement_timestamp(), least(statement_timestamp() + %(lifetime)s, answer_by), 'queued'
    FROM next
    ORDER BY dose_id
    ON CONFLICT (dose_id, kind, step) DO NOTHING
"""

# The first queued row of each push decides who has the push: SKIP LOCKED on it alone cannot split a push.
# Dose, schedule, medicine, person and devices are read here and nowhere earlier, so nothing needs cancelling.
# `status || ''` keeps the planner from looking a tag up in the queue's own index: its statistics come from quiet
# hours, when the queue is empty, and at the full hour that index holds everything.
_CLAIM = """
    WITH first AS MATERIALIZED (
        SELECT n.tag, n.kind, n.step
        FROM notification_logs n
        WHERE n.status = 'queued'
          AND n.send_at <= statement_timestamp()
          AND (n.lease_until IS NULL OR n.lease_until <= statement_timestamp())
          AND (n.retry_at IS NULL OR n.retry_at <= statement_timestamp())
          AND NOT EXISTS (
              SELECT FROM notification_logs e
              WHERE e.tag = n.tag AND e.kind = n.kind AND e.step = n.step AND e.status || '' = 'queued' AND e.id < n.id
          )
        ORDER BY n.send_at, n.id
        LIMIT %(limit)s
        FOR NO KEY UPDATE SKIP LOCKED
    ), examined AS MATERIALIZED (
        SELECT n.id, d.user_id, u.language, u.private_push_text, m.name AS medicine,
            CASE
                WHEN n.expires_at <= statement_timestamp() THEN 'expired'
                WHEN d.id IS NULL THEN 'dose_removed'
                WHEN d.status = 'missed' THEN 'missed'
                WHEN d.status <> 'pending' THEN 'answered'
                WHEN m.deleted_at IS NOT NULL OR NOT m.is_active THEN 'medication_ended'
                WHEN m.paused_at IS NOT NULL THEN 'medication_paused'
                WHEN s.deleted_at IS NOT NULL OR NOT s.is_active THEN 'schedule_ended'
                WHEN NOT s.reminder_enabled THEN 'reminder_disabled'
                WHEN NOT u.is_active OR u.deleted_at IS NOT NULL THEN 'user_inactive'
                WHEN NOT EXISTS (
                    SELECT FROM device_tokens t LEFT JOIN sessions a ON a.id = t.session_id
                    WHERE t.user_id = n.user_id AND t.revoked_at IS NULL AND a.revoked_at IS NULL
                      AND NOT EXISTS (
                          SELECT FROM push_deliveries p
                          WHERE p.notification_id = n.id AND p.device_id = t.id AND p.outcome <> 'retry'
                      )
                ) THEN 'no_device'
            END AS obstacle,
            EXISTS (
                SELECT FROM push_deliveries p WHERE p.notification_id = n.id AND p.outcome = 'accepted'
            ) AS has_arrived
        FROM first f
        JOIN notification_logs n USING (tag, kind, step)
        LEFT JOIN dose_logs d ON d.id = n.dose_id
        LEFT JOIN medications m ON m.id = d.medication_id
        LEFT JOIN schedules s ON s.id = d.schedule_id
        LEFT JOIN users u ON u.id = n.user_id
        WHERE n.status || '' = 'queued'
    ), claimed AS (
        UPDATE notification_logs n
        SET status = CASE
                WHEN x.obstacle IS NULL THEN 'queued'
                WHEN x.has_arrived THEN 'accepted'
                WHEN n.attempts > 0 THEN 'dead'
                ELSE 'moot'
            END,
            reason = coalesce(x.obstacle, n.reason),
            attempts = n.attempts + (x.obstacle IS NULL)::int,
            lease_token = CASE WHEN x.obstacle IS NULL THEN %(lease_token)s::uuid END,
            lease_until = CASE WHEN x.obstacle IS NULL THEN statement_timestamp() + %(lease)s END,
            retry_at = NULL
        FROM examined x
        WHERE n.id = x.id
        RETURNING n.id, n.tag, n.kind, n.step, n.user_id, n.dose_id, n.send_at, n.expires_at, n.attempts,
                  x.language, x.private_push_text, x.medicine, x.obstacle
    )
    SELECT statement_timestamp(), c.*, t.id, t.token, t.platform
    FROM claimed c
    LEFT JOIN (
        device_tokens t LEFT JOIN sessions a ON a.id = t.session_id
    ) ON c.obstacle IS NULL AND t.user_id = c.user_id AND t.revoked_at IS NULL AND a.revoked_at IS NULL
        AND NOT EXISTS (
            SELECT FROM push_deliveries p
            WHERE p.notification_id = c.id AND p.device_id = t.id AND p.outcome <> 'retry'
        )
    ORDER BY c.send_at, c.id
"""

# The fence: nothing is written for a push whose lease another worker took over.
_MARK = """
    WITH held AS (
        UPDATE notification_logs n
        SET status = CASE WHEN r.fate = 'dead' AND n.sent_at IS NOT NULL THEN 'accepted' ELSE r.fate END,
            reason = r.reason,
            sent_at = CASE WHEN r.is_accepted THEN coalesce(n.sent_at, statement_timestamp()) ELSE n.sent_at END,
            retry_at = statement_timestamp() + r.retry_after,
            lease_token = NULL,
            lease_until = NULL
        FROM unnest(%(ids)s::uuid[], %(fates)s::text[], %(reasons)s::text[], %(accepted)s::bool[],
                    %(retries)s::interval[]) AS r (id, fate, reason, is_accepted, retry_after)
        WHERE n.id = r.id AND n.lease_token = %(lease_token)s AND n.status = 'queued'
        RETURNING n.id, CASE WHEN r.is_accepted THEN statement_timestamp() - n.send_at END AS lateness
    ), delivered AS (
        INSERT INTO push_deliveries (id, notification_id, device_id, outcome, message_id, error_code)
        SELECT medtrack_uuid7(), o.notification_id, o.device_id, o.outcome, o.message_id, o.error_code
        FROM unnest(%(delivery_ids)s::uuid[], %(device_ids)s::uuid[], %(outcomes)s::text[], %(message_ids)s::text[],
                    %(error_codes)s::text[]) AS o (notification_id, device_id, outcome, message_id, error_code)
        JOIN held ON held.id = o.notification_id
        JOIN device_tokens t ON t.id = o.device_id
        ON CONFLICT (notification_id, device_id) DO UPDATE
        SET outcome = excluded.outcome, message_id = excluded.message_id, error_code = excluded.error_code,
            attempts = push_deliveries.attempts + 1, updated_at = statement_timestamp()
    )
    SELECT count(*), max(lateness) FROM held
"""

# A token that registered again after the claim is alive whatever FCM said about its past.
_REVOKE = """
    UPDATE device_tokens t SET revoked_at = statement_timestamp(), revoke_reason = r.reason
    FROM unnest(%s::uuid[], %s::text[]) AS r (id, reason)
    WHERE t.id = r.id AND t.revoked_at IS NULL AND t.last_seen_at <= %s
"""


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
