-- After an answer, the reminder is withdrawn from the other devices that show it; and from all devices, when the
-- plan no longer has the dose. One row per device.

WITH answered AS MATERIALIZED (
    SELECT DISTINCT ON (e.dose_id) e.dose_id, e.session_id, e.recorded_at
    FROM dose_events e
    WHERE e.recorded_at > statement_timestamp() - %(memory)s AND e.action IN ('taken', 'skipped')
    ORDER BY e.dose_id, e.recorded_at DESC
), done AS MATERIALIZED (
    SELECT dose_id, session_id, recorded_at FROM answered
    UNION ALL
    SELECT d.id, NULL, d.withdrawn_at
    FROM dose_logs d
    WHERE d.status = 'pending'
      AND d.due_at <= statement_timestamp()
      AND d.due_at > statement_timestamp() - %(window)s
      AND d.withdrawn_at > statement_timestamp() - %(memory)s
), shown AS MATERIALIZED (
    SELECT DISTINCT ON (n.tag, p.device_id) n.tag, p.device_id, n.user_id, n.dose_id, n.schedule_id, n.due_at
    FROM done a
    JOIN notification_logs n
        ON n.dose_id = a.dose_id AND n.kind IN ('due', 'follow_up', 'snoozed') AND n.sent_at IS NOT NULL
    JOIN push_deliveries p ON p.notification_id = n.id AND p.outcome = 'accepted'
    JOIN device_tokens t ON t.id = p.device_id AND t.revoked_at IS NULL
        AND (a.session_id IS NULL OR t.session_id IS DISTINCT FROM a.session_id)
    -- Devices that signed out or are suspect are included: the claim closes their rows with the reason.
    WHERE NOT EXISTS (
        -- The push also stands for a dose that is still pending.
        SELECT FROM notification_logs o JOIN dose_logs d ON d.id = o.dose_id
        WHERE o.tag = n.tag AND d.status = 'pending' AND d.withdrawn_at IS NULL AND medtrack_reminds_of(o, d)
    ) AND NOT EXISTS (
        -- A reminder that is shown after a withdrawal is withdrawn again.
        SELECT FROM notification_logs w
        WHERE w.tag = n.tag AND w.kind = 'withdraw' AND w.device_id = p.device_id AND w.send_at > n.sent_at
    )
    ORDER BY n.tag, p.device_id, a.recorded_at DESC
), enqueued AS (
    INSERT INTO notification_logs
        (id, user_id, dose_id, schedule_id, device_id, kind, step, due_at, tag, send_at, expires_at, status)
    SELECT medtrack_uuid7(), user_id, dose_id, schedule_id, device_id, 'withdraw',
           (SELECT count(*) FROM notification_logs w WHERE w.dose_id = shown.dose_id AND w.kind = 'withdraw')
               + row_number() OVER (PARTITION BY dose_id ORDER BY tag, device_id),
           due_at, tag, statement_timestamp(), statement_timestamp() + %(lifetime)s, 'queued'
    FROM shown
    ORDER BY dose_id, device_id
    ON CONFLICT (dose_id, due_at, kind, step) DO NOTHING
    RETURNING reason
)
SELECT reason, count(*) FROM enqueued GROUP BY reason
