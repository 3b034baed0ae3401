-- A due dose whose answer was taken back is reminded of once more, unless a reminder was sent since the answer or is
-- about to be. It replaces what the phone may still show, unless that also stands for other doses.

WITH reopened AS MATERIALIZED (
    SELECT d
    FROM dose_logs d
    WHERE d.reopened_until IS NOT NULL
      AND d.status = 'pending'
      AND d.withdrawn_at IS NULL
      AND d.due_at <= statement_timestamp()
      AND d.due_at > statement_timestamp() - %(window)s
      AND d.answer_by > statement_timestamp()
      AND (d.snoozed_until IS NULL OR d.snoozed_until <= statement_timestamp())
), unreminded AS MATERIALIZED (
    SELECT medtrack_uuid7() AS id, (d).id AS dose_id, (d).user_id, (d).schedule_id, (d).due_at, (d).answer_by, last.tag,
           given.steps AS step, last.tag IS NULL OR EXISTS (
               SELECT FROM notification_logs n JOIN dose_logs o ON o.id = n.dose_id
               WHERE n.tag = last.tag AND o.id <> (d).id AND o.status = 'pending' AND o.withdrawn_at IS NULL
                 AND medtrack_reminds_of(n, o)
           ) OR EXISTS (
               -- Another push with this tag and step was enqueued.
               SELECT FROM notification_logs n WHERE n.tag = last.tag AND n.kind = 'due' AND n.step = given.steps
           ) AS is_shared
    FROM reopened
    JOIN schedules s ON s.id = (d).schedule_id AND s.reminder_enabled
    CROSS JOIN LATERAL (
        SELECT coalesce(max(n.step) + 1, 0) AS steps FROM notification_logs n
        WHERE medtrack_reminds_of(n, d) AND n.kind = 'due'
    ) given
    LEFT JOIN LATERAL (
        SELECT n.tag FROM notification_logs n
        WHERE n.dose_id = (d).id AND n.kind IN ('due', 'follow_up', 'snoozed')
        ORDER BY n.send_at DESC, n.step DESC LIMIT 1
    ) last ON true
    CROSS JOIN LATERAL (
        SELECT max(e.recorded_at) FILTER (WHERE e.action IN ('taken', 'skipped')) AS answered_at,
               max(e.recorded_at) FILTER (WHERE e.action = 'reopened') AS reopened_at
        FROM dose_events e WHERE e.dose_id = (d).id
    ) event
    WHERE NOT EXISTS (
        SELECT FROM notification_logs n
        WHERE medtrack_reminds_of(n, d) AND n.kind IN ('due', 'follow_up', 'snoozed') AND (
            n.status = 'queued' AND (n.kind = 'due' OR n.send_at <= statement_timestamp())
            OR n.sent_at >= coalesce(event.answered_at, '-infinity')
            -- One that was made here after this reopening, however it ended.
            OR n.kind = 'due' AND n.send_at > n.due_at AND n.send_at >= event.reopened_at
        )
    )
), enqueued AS (
    INSERT INTO notification_logs
        (id, user_id, dose_id, schedule_id, kind, step, due_at, tag, send_at, expires_at, status)
    SELECT id, user_id, dose_id, schedule_id, 'due',
           -- What is reopened together is one push, so it has one step.
           CASE WHEN is_shared THEN max(step) OVER push ELSE step END, due_at,
           CASE WHEN is_shared THEN first_value(id) OVER push ELSE tag END,
           statement_timestamp(), least(statement_timestamp() + %(lifetime)s, answer_by), 'queued'
    FROM unreminded
    WINDOW push AS (PARTITION BY user_id, is_shared)
    ORDER BY dose_id
    ON CONFLICT (dose_id, due_at, kind, step) DO NOTHING
    RETURNING reason
)
SELECT reason, count(*) FROM enqueued GROUP BY reason
