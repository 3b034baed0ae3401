-- Counts the doses that are due and wanted, and whose reminder was sent to no device, and returns the age of
-- the oldest.
--
-- Four parts, each by an index. A complete run of the enqueue step leaves no due dose without a reminder, so
-- only doses that fell due or were created after its start are looked up one by one. While nothing is
-- enqueued these become more, and the oldest are enough. `grace` is the time that the periodic tasks take for
-- a dose that has just become due.
--
-- A subquery with a limit is always looked up by key, and `status || ''` keeps the planner from the wrong
-- index: its statistics are from quiet hours.

WITH late AS MATERIALIZED (
    (
        SELECT d.id, d.due_at AS waits_since
        FROM dose_logs d
        WHERE d.status = 'pending'
          AND d.due_at > greatest(%(enqueued_at)s::timestamptz, statement_timestamp() - %(window)s)
          AND d.due_at <= statement_timestamp() - %(grace)s
          AND (
              SELECT true FROM notification_logs n
              WHERE medtrack_reminds_of(n, d) AND n.kind = 'due' LIMIT 1
          ) IS NULL
        ORDER BY d.due_at LIMIT %(most)s
    )
    UNION ALL
    (
        SELECT d.id, d.due_at
        FROM dose_logs d
        WHERE d.status = 'pending'
          AND d.created_at >= %(made_since)s::timestamptz
          AND d.due_at > statement_timestamp() - %(window)s
          AND d.due_at <= least(%(enqueued_at)s::timestamptz, statement_timestamp() - %(grace)s)
          AND (
              SELECT true FROM notification_logs n
              WHERE medtrack_reminds_of(n, d) AND n.kind = 'due' LIMIT 1
          ) IS NULL
        ORDER BY d.due_at LIMIT %(most)s
    )
    UNION ALL
    (
        SELECT d.id, d.snoozed_until
        FROM dose_logs d
        WHERE d.status || '' = 'pending'
          AND d.snoozed_until > greatest(%(enqueued_at)s::timestamptz, statement_timestamp() - %(window)s)
          AND d.snoozed_until <= statement_timestamp() - %(grace)s
          AND (
              SELECT true FROM notification_logs n
              WHERE medtrack_reminds_of(n, d) AND n.kind = 'snoozed' AND n.send_at = d.snoozed_until LIMIT 1
          ) IS NULL
        ORDER BY d.snoozed_until LIMIT %(most)s
    )
    UNION ALL
    (
        SELECT n.dose_id, n.send_at
        FROM notification_logs n
        WHERE n.status = 'queued'
          AND n.kind IN ('due', 'snoozed')
          AND n.send_at <= statement_timestamp() - %(grace)s
          AND n.sent_at IS NULL
          -- A refused token concerns one device; a refused project has an alarm of its own.
          AND n.reason NOT IN ('device_in_doubt', 'SENDER_ID_MISMATCH')
        ORDER BY n.expires_at, n.id LIMIT %(most)s
    )
)
SELECT least(count(DISTINCT d.id), %(most)s),
       coalesce(extract(epoch FROM statement_timestamp() - min(l.waits_since)), 0)::float8
FROM late l
JOIN dose_logs d ON d.id = l.id AND d.status || '' = 'pending' AND d.answer_by > statement_timestamp()
    AND (d.snoozed_until IS NULL OR d.snoozed_until <= statement_timestamp() - %(grace)s)
JOIN schedules s ON s.id = d.schedule_id
JOIN medications m ON m.id = d.medication_id
JOIN users u ON u.id = d.user_id
WHERE medtrack_moot_reason(NULL, u, d, m, s, statement_timestamp()) IS NULL
