-- A follow-up comes some time after the last reminder of its dose, as it is due now, was accepted or closed.

WITH open AS MATERIALIZED (
    SELECT d
    FROM dose_logs d
    WHERE d.status = 'pending'
      AND d.withdrawn_at IS NULL
      AND d.due_at <= statement_timestamp()
      AND d.due_at > statement_timestamp() - %(window)s
      AND d.answer_by > statement_timestamp()
      AND (d.snoozed_until IS NULL OR d.snoozed_until <= statement_timestamp())
), next AS MATERIALIZED (
    SELECT medtrack_uuid7() AS id, last.user_id, last.dose_id, last.schedule_id, last.due_at, last.tag,
           last.snooze_count,
           -- Includes reminders that expired in the queue and are not claimed yet, or there would be a second
           -- push for them.
           last.sent_at IS NULL AND (last.reason = 'expired' OR last.status = 'queued') AS is_overdue,
           given.step + 1 AS step, (open.d).answer_by,
           (
               SELECT count(DISTINCT (n.tag, n.kind, n.step)) FROM notification_logs n
               WHERE n.user_id = last.user_id AND n.send_at > statement_timestamp() - interval '1 hour'
                 AND n.kind <> 'due' AND n.status <> 'moot'
           ) + dense_rank() OVER (PARTITION BY last.user_id ORDER BY last.tag) > %(cap)s AS is_too_much
    FROM open
    CROSS JOIN LATERAL (
        SELECT n.user_id, n.dose_id, n.schedule_id, n.due_at, n.tag, n.snooze_count, n.status, n.reason, n.send_at, n.sent_at,
               n.expires_at, n.lease_until
        FROM notification_logs n
        WHERE medtrack_reminds_of(n, open.d) AND n.kind IN ('due', 'follow_up', 'snoozed')
        ORDER BY n.send_at DESC, n.step DESC LIMIT 1
    ) last
    CROSS JOIN LATERAL (
        SELECT coalesce(max(n.step), 0) AS step FROM notification_logs n
        WHERE medtrack_reminds_of(n, open.d) AND n.kind = 'follow_up'
    ) given
    JOIN users u ON u.id = last.user_id AND given.step < u.follow_up_cap
    JOIN schedules s ON s.id = last.schedule_id AND s.reminder_enabled
    WHERE (
            last.sent_at IS NOT NULL OR last.status IN ('moot', 'dead')
            OR last.expires_at <= statement_timestamp()
               AND (last.lease_until IS NULL OR last.lease_until <= statement_timestamp())
        )
      AND coalesce(last.sent_at, last.send_at)
          <= statement_timestamp() - make_interval(mins => u.follow_up_interval_minutes)
), enqueued AS (
    INSERT INTO notification_logs
        (id, user_id, dose_id, schedule_id, kind, step, due_at, snooze_count, tag, send_at, expires_at, status, reason, closed_at)
    SELECT id, user_id, dose_id, schedule_id, 'follow_up',
           -- After an outage each user gets one push for all reminders that expired unsent: these follow-ups
           -- share a step and a tag.
           CASE WHEN is_overdue THEN max(step) OVER (PARTITION BY user_id, is_overdue) ELSE step END,
           due_at, snooze_count,
           CASE
               WHEN is_overdue THEN first_value(id) OVER (PARTITION BY user_id, is_overdue ORDER BY id)
               -- The tag of the last reminder makes the follow-up replace it on the device. Another push with this
               -- tag and step is queued or sent: then the follow-up is a push of its own.
               WHEN EXISTS (
                   SELECT FROM notification_logs n
                   WHERE n.tag = next.tag AND n.kind = 'follow_up' AND n.step = next.step
               ) THEN id
               ELSE tag
           END,
           statement_timestamp(), least(statement_timestamp() + %(lifetime)s, answer_by),
           CASE WHEN is_too_much THEN 'moot' ELSE 'queued' END,
           CASE WHEN is_too_much THEN 'too_many_pushes' ELSE '' END,
           CASE WHEN is_too_much THEN statement_timestamp() END
    FROM next
    ORDER BY dose_id
    ON CONFLICT (dose_id, due_at, kind, step) DO NOTHING
    RETURNING reason
)
SELECT reason, count(*) FROM enqueued GROUP BY reason
