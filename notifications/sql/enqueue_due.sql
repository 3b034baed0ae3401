-- One row per dose, due time, kind and step, so that a repeat changes nothing. A dose that moved gets a row of
-- its new time.

WITH due AS MATERIALIZED (
    SELECT medtrack_uuid7() AS id, d.id AS dose_id, d.user_id, d.schedule_id, d.due_at,
           least(d.due_at + %(lifetime)s, d.answer_by) AS expires_at, (
               SELECT coalesce(max(n.step) + 1, 0) FROM notification_logs n
               WHERE n.dose_id = d.id AND n.kind = 'due'
           ) AS step
    FROM dose_logs d
    JOIN schedules s ON s.id = d.schedule_id AND s.reminder_enabled
    WHERE d.status = 'pending'
      AND d.withdrawn_at IS NULL
      -- One that was due when its answer was taken back is left to enqueue_reopened.sql.
      AND (d.reopened_until IS NULL OR d.due_at > statement_timestamp())
      AND d.due_at <= statement_timestamp() + %(lookahead)s
      AND d.due_at > statement_timestamp() - %(window)s
      AND NOT EXISTS (
          SELECT FROM notification_logs n WHERE medtrack_reminds_of(n, d) AND n.kind = 'due'
            -- One that a claim dropped in a pause which is over now does not count.
            AND NOT (
                n.status = 'moot' AND n.reason IN ('medication_paused', 'dose_withdrawn', 'dose_removed')
                AND EXISTS (
                    SELECT FROM medications m WHERE m.id = d.medication_id
                      AND (m.paused_at IS NULL OR m.paused_until <= statement_timestamp())
                )
            )
      )
), enqueued AS (
    INSERT INTO notification_logs
        (id, user_id, dose_id, schedule_id, kind, step, due_at, tag, send_at, expires_at, status, reason, closed_at)
    SELECT id, user_id, dose_id, schedule_id, 'due',
           -- Doses of one user that are due in the same minute are one push, so they have one step. It is another one
           -- than that of a time before, because a phone knows the tag before and it stays: that of `dosing.upcoming`.
           max(step) OVER (PARTITION BY user_id, due_at), due_at,
           first_value(dose_id) OVER (PARTITION BY user_id, due_at ORDER BY dose_id), due_at, expires_at,
           -- A reminder that is already expired is written as moot, so that the trace explains why none was sent.
           CASE WHEN expires_at > statement_timestamp() THEN 'queued' ELSE 'moot' END,
           CASE WHEN expires_at > statement_timestamp() THEN '' ELSE 'expired' END,
           CASE WHEN expires_at > statement_timestamp() THEN NULL ELSE statement_timestamp() END
    FROM due
    -- Always in the same order, so that two enqueueing processes cannot deadlock.
    ORDER BY dose_id
    ON CONFLICT (dose_id, due_at, kind, step) DO NOTHING
    RETURNING reason
)
SELECT reason, count(*) FROM enqueued GROUP BY reason
