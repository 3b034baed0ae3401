-- The first queued row of each push decides who has the push: SKIP LOCKED on it alone cannot split a push.
-- Dose, schedule, medicine, person and devices are read here and nowhere earlier, so nothing needs cancelling.
-- `status || ''` keeps the planner from looking a tag up in the queue's own index: its statistics come from quiet
-- hours, when the queue is empty, and at the full hour that index holds everything.

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
