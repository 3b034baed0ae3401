-- A follow-up comes some time after the last reminder of its dose was handed over or given up. It keeps the tag,
-- so that on the phone it takes that reminder's place, unless another push with this tag and step is on its way.

WITH open AS MATERIALIZED (
    SELECT d.id, d.answer_by
    FROM dose_logs d
    WHERE d.status = 'pending'
      AND d.due_at <= statement_timestamp()
      AND d.due_at > statement_timestamp() - %(window)s
      AND d.answer_by > statement_timestamp()
      AND (d.snoozed_until IS NULL OR d.snoozed_until <= statement_timestamp())
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
