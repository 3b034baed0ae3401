-- Earliest expiry first. The first queued row of each push decides who has the push: SKIP LOCKED on it alone cannot
-- split a push. Dose, schedule, medicine, person and devices are read here and nowhere earlier, so nothing needs
-- cancelling. `status || ''` and its like leave the planner no index but the tag's to find a push's rows by: its
-- statistics come from quiet hours, when the queue is empty, and at the full hour every other index holds everything.
-- A sign-in is looked up in a subquery of its own so that it cannot be joined the other way round.
-- Each claim takes one `turn`: a push that outran its lease twice goes alone, test pushes go when no dose is left.
-- The devices are read once per push, by its first row, and they are no more than one account may have. A withdrawal
-- is for one device, so that two of one tag and step are two pushes.

WITH first AS MATERIALIZED (
    SELECT n.id, n.tag, n.kind, n.step, n.user_id, n.device_id, n.attempts
    FROM notification_logs n
    WHERE n.status = 'queued'
      AND n.send_at <= statement_timestamp()
      AND (n.lease_until IS NULL OR n.lease_until <= statement_timestamp())
      AND (n.retry_at IS NULL OR n.retry_at <= statement_timestamp())
      AND CASE
          WHEN n.outrun + (n.lease_until >= n.claimed_at + %(lease)s IS TRUE)::int >= 2 THEN 'alone'
          WHEN n.kind = 'test' THEN 'test'
          ELSE 'dose'
      END = %(turn)s
      AND NOT EXISTS (
          SELECT FROM notification_logs e
          WHERE e.tag = n.tag AND e.kind || '' = n.kind AND e.step + 0 = n.step AND e.status || '' = 'queued'
            AND e.device_id IS NOT DISTINCT FROM n.device_id AND e.id::text < n.id::text
      )
    ORDER BY n.expires_at, n.id
    LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
), pushes AS MATERIALIZED (
    SELECT f.id, f.tag, f.kind, f.step, f.device_id, t.device_ids, t.tokens, t.probed, t.is_in_doubt
    FROM first f
    CROSS JOIN LATERAL (
        SELECT array_agg(t.id::text) FILTER (WHERE t.may_be_sent_to) AS device_ids,
               array_agg(t.token) FILTER (WHERE t.may_be_sent_to) AS tokens,
               array_agg(t.id::text) FILTER (WHERE t.may_be_sent_to AND t.is_suspect) AS probed,
               bool_or(NOT t.may_be_sent_to) AS is_in_doubt
        FROM (
            SELECT t.id, t.token, t.suspect_since IS NOT NULL AS is_suspect, CASE
                -- While nothing was accepted since, the project may be the wrong one: its mending must be noticed.
                WHEN t.suspect_since IS NULL OR t.probed_at <= statement_timestamp() - CASE
                    WHEN EXISTS (
                        SELECT FROM firebase_projects p WHERE p.id = %(project)s AND p.accepted_at > t.suspect_since
                    ) THEN interval '1 hour'
                    ELSE interval '1 minute'
                END THEN true
                -- Another person's push was accepted since the last probe: time for the next.
                ELSE EXISTS (
                    SELECT FROM firebase_projects p
                    WHERE p.id = %(project)s AND t.probed_at < CASE
                        WHEN p.accepted_user_id = f.user_id THEN p.another_accepted_at ELSE p.accepted_at
                    END
                )
            END AS may_be_sent_to
            FROM device_tokens t
            WHERE t.user_id = f.user_id AND t.revoked_at IS NULL
              AND (SELECT a.revoked_at IS NULL FROM sessions a WHERE a.id = t.session_id)
              AND (f.device_id IS NULL OR t.id = f.device_id)
              AND (f.attempts = 0 OR NOT EXISTS (
                  SELECT FROM push_deliveries p
                  WHERE p.notification_id = f.id AND p.device_id = t.id AND p.outcome <> 'retry'
              ))
            ORDER BY t.last_seen_at DESC LIMIT %(devices)s
        ) t
    ) t
), examined AS MATERIALIZED (
    SELECT n.id, u.language, u.private_push_text, m.name AS medicine, q.answer_by, q.timezone, q.quiet_from, q.quiet_to,
        CASE WHEN n.id = f.id THEN f.device_ids END AS device_ids,
        CASE WHEN n.id = f.id THEN f.tokens END AS tokens,
        CASE WHEN n.id = f.id THEN f.probed END AS probed,
        n.outrun + (n.lease_until >= n.claimed_at + %(lease)s IS TRUE)::int AS outrun,
        CASE
            WHEN n.expires_at <= statement_timestamp() THEN 'expired'
            WHEN u.is_active IS NOT TRUE OR u.deleted_at IS NOT NULL THEN 'user_inactive'
            WHEN n.dose_id IS NOT NULL AND d.id IS NULL THEN 'dose_removed'
            WHEN n.kind = 'withdraw' THEN CASE
                WHEN d.status = 'pending' THEN 'reopened'
                WHEN f.tokens IS NULL THEN 'no_device'
            END
            WHEN d.status = 'missed' THEN 'missed'
            WHEN d.status <> 'pending' THEN 'answered'
            WHEN m.deleted_at IS NOT NULL OR NOT m.is_active THEN 'medication_ended'
            WHEN m.paused_at IS NOT NULL THEN 'medication_paused'
            WHEN s.deleted_at IS NOT NULL OR NOT s.is_active THEN 'schedule_ended'
            WHEN NOT s.reminder_enabled THEN 'reminder_disabled'
            WHEN n.kind = 'snoozed' AND d.snoozed_until IS DISTINCT FROM n.send_at THEN 'snoozed_again'
            WHEN n.kind <> 'snoozed' AND d.snoozed_until > statement_timestamp() THEN 'snoozed'
            WHEN f.tokens IS NULL AND f.is_in_doubt AND n.kind <> 'test' AND n.sent_at IS NULL THEN 'device_in_doubt'
            WHEN f.tokens IS NULL THEN 'no_device'
            WHEN n.outrun + (n.lease_until >= n.claimed_at + %(lease)s IS TRUE)::int >= 3 THEN 'outran_its_lease'
        END AS obstacle
    FROM pushes f
    JOIN notification_logs n ON n.tag = f.tag AND n.kind || '' = f.kind AND n.step + 0 = f.step
        AND n.device_id IS NOT DISTINCT FROM f.device_id
    LEFT JOIN users u ON u.id = n.user_id
    LEFT JOIN dose_logs d ON d.id = n.dose_id
    LEFT JOIN medications m ON m.id = d.medication_id
    LEFT JOIN schedules s ON s.id = d.schedule_id
    LEFT JOIN LATERAL (
        SELECT d.answer_by, u.timezone, u.quiet_hours_start_time AS quiet_from, u.quiet_hours_end_time AS quiet_to
        WHERE n.kind = 'follow_up' AND u.quiet_hours_start_time IS NOT NULL
    ) q ON true
    WHERE n.status || '' = 'queued'
), claimed AS (
    UPDATE notification_logs n
    SET status = CASE
            WHEN x.obstacle IS NULL OR x.obstacle = 'device_in_doubt' THEN 'queued'
            WHEN n.sent_at IS NOT NULL THEN 'accepted'
            WHEN n.attempts > 0 THEN 'dead'
            ELSE 'moot'
        END,
        reason = coalesce(x.obstacle, n.reason),
        attempts = n.attempts + (x.obstacle IS NULL)::int,
        outrun = x.outrun,
        lease_token = CASE WHEN x.obstacle IS NULL THEN %(lease_token)s::uuid END,
        lease_until = CASE WHEN x.obstacle IS NULL THEN statement_timestamp() + %(lease)s END,
        claimed_at = CASE WHEN x.obstacle IS NULL THEN statement_timestamp() ELSE n.claimed_at END,
        closed_at = CASE WHEN x.obstacle <> 'device_in_doubt' THEN statement_timestamp() END,
        retry_at = CASE WHEN x.obstacle = 'device_in_doubt' THEN statement_timestamp() + interval '1 minute' END
    FROM examined x
    WHERE n.id = x.id
    RETURNING n.id, n.user_id, n.tag, n.kind, n.step, n.dose_id, n.expires_at, n.attempts, x.language,
              x.private_push_text, x.medicine, x.obstacle, x.device_ids, x.tokens, x.probed, x.answer_by::text,
              x.timezone, x.quiet_from, x.quiet_to, n.device_id
)
SELECT extract(epoch FROM statement_timestamp())::float8, id::text, user_id::text, tag::text, kind, step, dose_id::text,
       extract(epoch FROM expires_at)::float8, attempts, language, private_push_text, medicine, obstacle, device_ids,
       tokens, probed, answer_by, timezone, quiet_from, quiet_to, device_id::text
FROM claimed
ORDER BY expires_at, id
