-- The end of a snooze is a reminder of its own. It replaces the snoozed one on the device, unless that one
-- also stands for other doses. Doses that are snoozed until the same instant are one push.

WITH ended AS MATERIALIZED (
    SELECT medtrack_uuid7() AS id, d.id AS dose_id, d.user_id, d.schedule_id, d.due_at, d.snoozed_until AS send_at,
           least(d.snoozed_until + %(lifetime)s, d.answer_by) AS expires_at,
           (SELECT count(*) + 1 FROM notification_logs n WHERE n.dose_id = d.id AND n.kind = 'snoozed') AS step,
           last.tag, count(*) OVER (PARTITION BY d.user_id, d.snoozed_until) > 1 OR EXISTS (
               SELECT FROM notification_logs n JOIN dose_logs o ON o.id = n.dose_id
               WHERE n.tag = last.tag AND o.id <> d.id AND o.status = 'pending' AND o.withdrawn_at IS NULL
                 AND medtrack_reminds_of(n, o)
           ) AS is_shared
    FROM dose_logs d
    JOIN schedules s ON s.id = d.schedule_id AND s.reminder_enabled
    LEFT JOIN LATERAL (
        SELECT n.tag FROM notification_logs n
        WHERE n.dose_id = d.id AND n.kind IN ('due', 'follow_up', 'snoozed')
        ORDER BY n.send_at DESC LIMIT 1
    ) last ON true
    WHERE d.status = 'pending'
      AND d.withdrawn_at IS NULL
      AND d.snoozed_until <= statement_timestamp() + %(lookahead)s
      AND d.snoozed_until > statement_timestamp() - %(window)s
      AND d.answer_by > d.snoozed_until
      AND NOT EXISTS (
          SELECT FROM notification_logs n
          WHERE medtrack_reminds_of(n, d) AND n.kind = 'snoozed' AND n.send_at = d.snoozed_until
      )
), enqueued AS (
    INSERT INTO notification_logs
        (id, user_id, dose_id, schedule_id, kind, step, due_at, snooze_count, tag, send_at, expires_at, status, reason, closed_at)
    SELECT id, user_id, dose_id, schedule_id, 'snoozed', step, due_at, step,
           CASE WHEN is_shared OR tag IS NULL THEN first_value(id) OVER (PARTITION BY user_id, send_at ORDER BY id)
                ELSE tag END,
           send_at, expires_at,
           CASE WHEN expires_at > statement_timestamp() THEN 'queued' ELSE 'moot' END,
           CASE WHEN expires_at > statement_timestamp() THEN '' ELSE 'expired' END,
           CASE WHEN expires_at > statement_timestamp() THEN NULL ELSE statement_timestamp() END
    FROM ended
    ORDER BY dose_id
    ON CONFLICT (dose_id, due_at, kind, step) DO NOTHING
    RETURNING reason
)
SELECT reason, count(*) FROM enqueued GROUP BY reason
