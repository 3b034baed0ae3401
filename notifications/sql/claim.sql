-- Leases due pushes, earliest expiry first, and closes reminders that are moot. The first queued row of each
-- push decides who gets the push, so SKIP LOCKED on that row cannot split a push. Dose, schedule, medication,
-- user and devices are read only here, so nothing has to be cancelled earlier.
--
-- `status || ''` and its like keep the planner from other indexes than the tag's. Its statistics are from
-- quiet hours, when the queue is empty; at the full hour every other index holds the whole queue.
--
-- Each claim takes one `turn`: a push that outran its lease twice is sent alone, and test pushes when no dose
-- is left. The devices are read once per push, at its first row, up to a limit. A withdrawal is for one
-- device, so two withdrawals with one tag and step are two pushes.

WITH first AS MATERIALIZED (
    SELECT n.id, n.tag, n.kind, n.step, n.user_id, n.device_id, n.attempts
    FROM notification_logs n
    WHERE n.status = 'queued'
      AND n.send_at <= statement_timestamp()
      AND (n.lease_until IS NULL OR n.lease_until <= statement_timestamp())
      AND (n.retry_at IS NULL OR n.retry_at <= statement_timestamp())
      AND CASE
          WHEN medtrack_outrun_leases(n, %(lease)s) >= 2 THEN 'alone'
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
), project AS MATERIALIZED (
    SELECT accepted_at, accepted_user_id, another_accepted_at FROM firebase_projects WHERE id = %(project)s
), pushes AS MATERIALIZED (
    SELECT f.id, f.tag, f.kind, f.step, f.device_id, t.device_ids, t.tokens, t.probed, t.is_in_doubt
    FROM first f
    LEFT JOIN project ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(t.id::text) FILTER (WHERE t.may_be_sent_to) AS device_ids,
               array_agg(t.token) FILTER (WHERE t.may_be_sent_to) AS tokens,
               array_agg(t.id::text) FILTER (WHERE t.may_be_sent_to AND t.is_suspect) AS probed,
               bool_or(NOT t.may_be_sent_to) AS is_in_doubt
        FROM (
            SELECT t.id, t.token, t.suspect_since IS NOT NULL AS is_suspect, CASE
                WHEN t.suspect_since IS NULL THEN true
                -- While nothing was accepted since, the project may be the wrong one. It is tried more often,
                -- so that it is noticed when the project is corrected.
                WHEN t.probed_at <= statement_timestamp() - CASE
                    WHEN project.accepted_at > t.suspect_since THEN interval '1 hour' ELSE interval '1 minute'
                END THEN true
                -- Another user's push was accepted since the last probe: time for the next.
                ELSE coalesce(t.probed_at < CASE
                    WHEN project.accepted_user_id = f.user_id THEN project.another_accepted_at
                    ELSE project.accepted_at
                END, false)
            END AS may_be_sent_to
            FROM signed_in_devices t
            WHERE t.user_id = f.user_id
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
        medtrack_outrun_leases(n, %(lease)s) AS outrun,
        coalesce(medtrack_moot_reason(n, u, d, m, s, statement_timestamp()), CASE
            WHEN f.tokens IS NULL AND f.is_in_doubt AND n.kind NOT IN ('test', 'withdraw') AND n.sent_at IS NULL
                THEN 'device_in_doubt'
            WHEN f.tokens IS NULL THEN 'no_device'
            -- A withdrawal has no other reason.
            WHEN medtrack_outrun_leases(n, %(lease)s) >= 3 AND n.kind <> 'withdraw' THEN 'outran_its_lease'
        END) AS reason
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
            WHEN x.reason IS NULL OR x.reason = 'device_in_doubt' THEN 'queued'
            WHEN n.sent_at IS NOT NULL THEN 'accepted'
            WHEN n.attempts > 0 THEN 'dead'
            ELSE 'moot'
        END,
        reason = coalesce(x.reason, n.reason),
        attempts = n.attempts + (x.reason IS NULL)::int,
        outrun = x.outrun,
        lease_token = CASE WHEN x.reason IS NULL THEN %(lease_token)s::uuid END,
        lease_until = CASE WHEN x.reason IS NULL THEN statement_timestamp() + %(lease)s END,
        claimed_at = CASE WHEN x.reason IS NULL THEN statement_timestamp() ELSE n.claimed_at END,
        closed_at = CASE WHEN x.reason <> 'device_in_doubt' THEN statement_timestamp() END,
        retry_at = CASE WHEN x.reason = 'device_in_doubt' THEN statement_timestamp() + interval '1 minute' END
    FROM examined x
    WHERE n.id = x.id
    RETURNING n.id, n.user_id, n.tag, n.kind, n.step, n.dose_id, n.expires_at, n.attempts, x.language,
              x.private_push_text, x.medicine, x.reason, x.device_ids, x.tokens, x.probed, x.answer_by::text,
              x.timezone, x.quiet_from, x.quiet_to, n.device_id
)
SELECT extract(epoch FROM statement_timestamp())::float8, id::text, user_id::text, tag::text, kind, step, dose_id::text,
       extract(epoch FROM expires_at)::float8, attempts, language, private_push_text, medicine, reason, device_ids,
       tokens, probed, answer_by, timezone, quiet_from, quiet_to, device_id::text
FROM claimed
ORDER BY expires_at, id
