"""Four operations of MedTrack as fast as FastAPI gets: one prepared statement each, session check and JSON included.

Doses of schedules only, and the first page of the medications; everything else is as in MedTrack. Run by bench/api.py.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
from access import CurrentClaims
from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import AwareDatetime, BaseModel, Field

CLOCK_SKEW = timedelta(minutes=5)
MAX_DAYS = 400

# $1 is the user's and $2 the session's id everywhere.
CALLER = """
    caller AS MATERIALIZED (
        SELECT u.id, u.timezone FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.id = $2 AND s.user_id = $1 AND s.revoked_at IS NULL AND s.expires_at > now()
          AND u.is_active AND u.deleted_at IS NULL
    )
"""
INSTANT = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
# Of a dose `d` and its medication `m`.
DOSE = f"""
    json_build_object(
        'id', d.id, 'schedule_id', d.schedule_id,
        'medication', json_build_object(
            'id', m.id, 'name', m.name, 'dosage', m.dosage, 'strength', m.strength, 'form', m.form, 'unit', m.unit,
            'color_tag', m.color_tag, 'current_name', m.name
        ),
        'log_date', d.log_date, 'scheduled_time', to_char(d.scheduled_time, 'HH24:MI'),
        'due_at', {INSTANT.format("d.due_at")}, 'quantity', trim_scale(coalesce(d.taken_quantity, d.quantity))::text,
        'status', d.status, 'taken_at', {INSTANT.format("d.taken_at")},
        'snoozed_until', {INSTANT.format("d.snoozed_until")}, 'recorded_by', d.recorded_by_id,
        'skip_reason', d.skip_reason, 'note', d.note, 'also_on', NULL
    )
"""
DAY = f"""
    WITH {CALLER}
    SELECT json_build_object('date', $3::date, 'timezone', c.timezone, 'results', coalesce((
        SELECT json_agg({DOSE} ORDER BY coalesce(d.due_at, d.taken_at), d.id)
        FROM dose_logs d JOIN medications m ON m.id = d.medication_id
        WHERE d.user_id = $1 AND d.log_date = $3 AND (d.schedule_id IS NOT NULL OR d.status <> 'pending')
    ), '[]'))::text FROM caller c
"""
MEDICATIONS = f"""
    WITH {CALLER}, page AS (
        SELECT *, row_number() OVER (ORDER BY created_at DESC, id DESC) AS n FROM medications
        WHERE user_id = $1 AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $3::int + 1
    )
    SELECT json_build_object('next_cursor', NULL, 'has_more', (SELECT count(*) > $3 FROM page), 'results', coalesce((
        SELECT json_agg(json_build_object(
            'id', id, 'name', name, 'dosage', dosage, 'form', form, 'strength', strength, 'unit', unit,
            'color_tag', color_tag, 'memo', memo, 'is_active', is_active, 'paused_at', {INSTANT.format("paused_at")},
            'paused_until', {INSTANT.format("paused_until")}, 'expires_on', expires_on, 'version', version, 'created_at', {INSTANT.format("created_at")},
            'updated_at', {INSTANT.format("updated_at")}
        ) ORDER BY n) FROM page WHERE n <= $3
    ), '[]'))::text FROM caller
"""
FIGURES = """
    'due', due, 'taken', taken, 'skipped', skipped, 'missed', missed, 'on_time', on_time,
    'on_time_rate', round(on_time::float8 / nullif(taken, 0) * 10000) / 10000,
    'rate', round(taken::float8 / nullif(due, 0) * 10000) / 10000
"""
ADHERENCE = f"""
    WITH {CALLER}, counted AS (
        SELECT log_date AS day, count(*) AS due, count(*) FILTER (WHERE status = 'taken') AS taken,
               count(*) FILTER (WHERE status = 'skipped') AS skipped,
               count(*) FILTER (WHERE status = 'missed') AS missed,
               count(*) FILTER (WHERE taken_at BETWEEN due_at - interval '1 hour' AND due_at + interval '1 hour')
                   AS on_time
        FROM dose_logs
        WHERE user_id = $1 AND log_date BETWEEN $3 AND $4 AND schedule_id IS NOT NULL
          AND (status IN ('taken', 'skipped', 'missed')
               OR (status = 'pending' AND answer_by IS NOT NULL AND due_at <= now()))
        GROUP BY log_date
    ), days AS (
        SELECT day::date, coalesce(due, 0) AS due, coalesce(taken, 0) AS taken, coalesce(skipped, 0) AS skipped,
               coalesce(missed, 0) AS missed, coalesce(on_time, 0) AS on_time,
               count(*) FILTER (WHERE skipped + missed > 0) OVER (ORDER BY day) AS run
        FROM generate_series($3::date::timestamp, $4::date::timestamp, '1 day') AS day LEFT JOIN counted USING (day)
    ), runs AS (
        SELECT run, count(*) FILTER (WHERE due > 0 AND due = taken) AS length FROM days GROUP BY run
    ), total AS (
        SELECT sum(due)::int AS due, sum(taken)::int AS taken, sum(skipped)::int AS skipped,
               sum(missed)::int AS missed, sum(on_time)::int AS on_time FROM days
    )
    SELECT json_build_object(
        'from', $3::date, 'to', $4::date, 'timezone', c.timezone, 'group_by', 'day',
        'total', (SELECT json_build_object({FIGURES},
            'current_streak', (SELECT length FROM runs ORDER BY run DESC LIMIT 1),
            'longest_streak', (SELECT max(length) FROM runs)) FROM total),
        'results', (SELECT json_agg(json_build_object('period_start', day, 'period_end', day, 'medication', NULL,
            {FIGURES}, 'current_streak', NULL, 'longest_streak', NULL) ORDER BY day) FROM days)
    )::text FROM caller c
"""
TAKE = f"""
    WITH {CALLER}, mine AS (
        SELECT d.* FROM dose_logs d JOIN caller c ON c.id = d.user_id WHERE d.id = $3 FOR UPDATE OF d
    ), earlier AS (
        SELECT dose_id = $3 AND action = 'taken' AND payload = $8::jsonb AS is_same FROM dose_events WHERE id = $4
    ), changed AS (
        UPDATE dose_logs d SET status = 'taken', taken_at = $5, taken_quantity = $6, note = $7, skip_reason = '',
                               snoozed_until = NULL, recorded_by_id = $1
        FROM mine WHERE d.id = mine.id AND mine.status IN ('pending', 'missed') AND NOT EXISTS (SELECT FROM earlier)
        RETURNING d.*
    ), event AS (
        INSERT INTO dose_events (id, dose_id, action, occurred_at, recorded_at, recorded_by_id, session_id, payload)
        SELECT $4, id, 'taken', $5, now(), $1, $2, $8::jsonb FROM changed
    ), answered AS (
        SELECT * FROM changed
        UNION ALL
        SELECT * FROM mine
        WHERE EXISTS (SELECT FROM earlier WHERE is_same)
           OR (status = 'taken' AND NOT EXISTS (SELECT FROM earlier)
               AND EXISTS (SELECT FROM dose_events e WHERE e.dose_id = mine.id AND action = 'taken'))
    )
    SELECT EXISTS (SELECT FROM mine), (
        SELECT {DOSE}::text FROM answered d JOIN medications m ON m.id = d.medication_id
    ) FROM caller
"""


class TakeInput(BaseModel):
    event_id: UUID | None = None
    occurred_at: AwareDatetime | None = None
    quantity: Decimal | None = Field(None, gt=0, max_digits=9, decimal_places=3)
    note: str | None = Field(None, max_length=500)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    global pool
    # As many connections as a MedTrack process has.
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=8, max_size=8) as pool:
        yield


pool: asyncpg.Pool
app = FastAPI(title="A bare peer", lifespan=lifespan)


@app.get("/api/v1/doses")
async def list_doses(claims: CurrentClaims, date: date) -> Response:
    return answer(await pool.fetchval(DAY, *claims, date))


@app.get("/api/v1/medications")
async def list_medications(
    claims: CurrentClaims, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Response:
    return answer(await pool.fetchval(MEDICATIONS, *claims, limit))


@app.get("/api/v1/adherence")
async def get_adherence(
    claims: CurrentClaims, first: Annotated[date, Query(alias="from")], to: date
) -> Response:
    if not 0 <= (to - first).days < MAX_DAYS:
        raise HTTPException(400, f"At most {MAX_DAYS} days at a time.")
    return answer(await pool.fetchval(ADHERENCE, *claims, first, to))


@app.post("/api/v1/doses/{dose_id}/take")
async def take_dose(claims: CurrentClaims, dose_id: UUID, body: TakeInput) -> Response:
    now = datetime.now(UTC)
    occurred_at = body.occurred_at or now
    if occurred_at > now + CLOCK_SKEW:
        raise HTTPException(400, "This time is in the future.")
    payload = {name: str(value) for name, value in body if name in ("quantity", "note") and value is not None}
    event = (body.event_id or uuid4(), occurred_at, body.quantity, body.note or "", json.dumps(payload))
    row = await pool.fetchrow(TAKE, *claims, dose_id, *event)
    is_found, dose = row or (None, None)
    if is_found is False:
        raise HTTPException(404, "Not found.")
    if is_found and dose is None:
        raise HTTPException(409, "This dose cannot be changed in this way now.")
    return answer(dose)


def answer(content: Any) -> Response:
    if content is None:
        raise HTTPException(401, "This session has ended. Sign in again.")
    return Response(content, media_type="application/json")
