-- Takes a planned dose and inserts the event. No row if the session is not living; one row of nulls if
-- nothing was written: another user's or an as-needed dose, one that is answered, one that was not due (it may
-- be too early), one of a medication with limits, an event id that is in use, an implausible time.
WITH caller AS (
    SELECT s.user_id AS id, s.id AS session_id
    FROM living_sessions s
    WHERE s.id = %(session_id)s AND s.user_id = %(user_id)s
), taken AS (
    UPDATE dose_logs d
    SET status = 'taken', taken_at = least(%(occurred_at)s, now()), taken_quantity = %(quantity)s,
        note = %(note)s, skip_reason = '', skipped_at = NULL,
        snoozed_until = NULL, reopened_until = NULL, recorded_by_id = c.id
    FROM caller c
    WHERE d.id = %(dose_id)s AND d.user_id = c.id AND d.schedule_id IS NOT NULL
        AND d.status IN ('pending', 'missed')
        -- So the planned quantity is right: what was due keeps it when the schedule is edited.
        AND d.due_at <= least(%(occurred_at)s, now())
        AND coalesce(%(occurred_at)s, now()) <= now() + %(clock_skew)s
        AND coalesce(%(occurred_at)s, now()) >= now() - %(max_age)s
        AND NOT EXISTS (
            SELECT FROM schedules l
            WHERE l.medication_id = d.medication_id AND l.cycle_type = 'as_needed'
                AND l.is_active AND l.deleted_at IS NULL
        )
        AND NOT EXISTS (SELECT FROM dose_events e WHERE e.id = %(event_id)s)
        AND NOT EXISTS (SELECT FROM idempotency_keys k WHERE k.key = %(event_id)s AND k.scope = 'event')
    RETURNING d.*
), event AS (
    INSERT INTO dose_events (id, dose_id, action, occurred_at, recorded_at, recorded_by_id, session_id, payload)
    SELECT %(event_id)s, t.id, 'taken', t.taken_at, now(), c.id, c.session_id, %(payload)s
    FROM taken t, caller c
)
SELECT {dose_columns}
FROM caller c
LEFT JOIN taken d ON true
LEFT JOIN medications m ON m.id = d.medication_id
