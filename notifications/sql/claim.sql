-- Earliest expiry first. The first queued row of each push decides who has the push: SKIP LOCKED on it alone cannot
-- split a push. Dose, schedule, medicine, person and devices are read here and nowhere earlier, so nothing needs
-- cancelling. `status || ''` and its like leave the planner no index but the tag's to find a push's rows by: its
-- statistics come from quiet hours, when the queue is empty, and at the full hour every other index holds everything.
-- A sign-in is looked up in a subquery of its own so that it cannot be joined the other way round.

WITH first AS MATERIALIZED (
    SELECT n.tag, n.kind, n.step
    FROM notification_logs n
    WHERE n.status = 'queued'
      AND n.send_at <= statement_timestamp()
      AND (n.lease_until IS NULL OR n.lease_until <= statement_timestamp())
      AND (n.retry_at IS NULL OR n.retry_at <= statement_timestamp())
      AND NOT EXISTS (
          SELECT FROM notification_logs e
          WHERE e.tag = n.tag AND e.kind || '' = n.kind AND e.step + 0 = n.step AND e.status || '' = 'queued'
            AND e.id::text < n.id::text
      )
    ORDER BY n.expires_at, n.id
    LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
), examined AS MATERIALIZED (
    SELECT n.id, u.language, u.private_push_text, m.name AS medicine, t.device_ids, t.tokens,
        q.answer_by, q.timezone, q.quiet_from, q.quiet_to,
        CASE
            WHEN n.expires_at <= statement_timestamp() THEN 'expired'
            WHEN u.is_active IS NOT TRUE OR u.deleted_at IS NOT NULL THEN 'user_inactive'
            WHEN n.dose_id IS NOT NULL AND d.id IS NULL THEN 'dose_removed'
            WHEN n.kind = 'withdraw' THEN CASE
                WHEN d.status = 'pending' THEN 'reopened'
                WHEN t.tokens IS NULL THEN 'no_device'
            END
            WHEN d.status = 'missed' THEN 'missed'
            WHEN d.status <> 'pending' THEN 'answered'
            WHEN m.deleted_at IS NOT NULL OR NOT m.is_active THEN 'medication_ended'
            WHEN m.paused_at IS NOT NULL THEN 'medication_paused'
            WHEN s.deleted_at IS NOT NULL OR NOT s.is_active THEN 'schedule_ended'
            WHEN NOT s.reminder_enabled THEN 'reminder_disabled'
            WHEN n.kind = 'snoozed' AND d.snoozed_until IS DISTINCT FROM n.send_at THEN 'snoozed_again'
            WHEN n.kind <> 'snoozed' AND d.snoozed_until > statement_timestamp() THEN 'snoozed'
            WHEN t.tokens IS NULL THEN 'no_device'
        END AS obstacle
    FROM first f
    JOIN notification_logs n ON n.tag = f.tag AND n.kind || '' = f.kind AND n.step + 0 = f.step
    LEFT JOIN users u ON u.id = n.user_id
    LEFT JOIN dose_logs d ON d.id = n.dose_id
    LEFT JOIN medications m ON m.id = d.medication_id
    LEFT JOIN schedules s ON s.id = d.schedule_id
    LEFT JOIN LATERAL (
        SELECT d.answer_by, u.timezone, u.quiet_hours_start_time AS quiet_from, u.quiet_hours_end_time AS quiet_to
        WHERE n.kind = 'follow_up' AND u.quiet_hours_start_time IS NOT NULL
    ) q ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(t.id::text) AS device_ids, array_agg(t.token) AS tokens
        FROM device_tokens t
        WHERE t.user_id = n.user_id AND t.revoked_at IS NULL
          AND (SELECT a.revoked_at IS NULL FROM sessions a WHERE a.id = t.session_id)
          AND (n.device_id IS NULL OR t.id = n.device_id)
          AND (n.attempts = 0 OR NOT EXISTS (
              SELECT FROM push_deliveries p
              WHERE p.notification_id = n.id AND p.device_id = t.id AND p.outcome <> 'retry'
          ))
    ) t
    WHERE n.status || '' = 'queued'
), claimed AS (
    UPDATE notification_logs n
    SET status = CASE
            WHEN x.obstacle IS NULL THEN 'queued'
            WHEN n.sent_at IS NOT NULL THEN 'accepted'
            WHEN n.attempts > 0 THEN 'dead'
            ELSE 'moot'
        END,
        reason = coalesce(x.obstacle, n.reason),
        attempts = n.attempts + (x.obstacle IS NULL)::int,
        lease_token = CASE WHEN x.obstacle IS NULL THEN %(lease_token)s::uuid END,
        lease_until = CASE WHEN x.obstacle IS NULL THEN statement_timestamp() + %(lease)s END,
        claimed_at = CASE WHEN x.obstacle IS NULL THEN statement_timestamp() ELSE n.claimed_at END,
        closed_at = CASE WHEN x.obstacle IS NOT NULL THEN statement_timestamp() END,
        retry_at = NULL
    FROM examined x
    WHERE n.id = x.id
    RETURNING n.id, n.tag, n.kind, n.step, n.dose_id, n.expires_at, n.attempts, x.language, x.private_push_text,
              x.medicine, x.obstacle, x.device_ids, x.tokens, x.answer_by::text, x.timezone, x.quiet_from, x.quiet_to
)
SELECT extract(epoch FROM statement_timestamp())::float8, id::text, tag::text, kind, step, dose_id::text,
       extract(epoch FROM expires_at)::float8, attempts, language, private_push_text, medicine, obstacle, device_ids,
       tokens, answer_by, timezone, quiet_from, quiet_to
FROM claimed
ORDER BY expires_at, id
