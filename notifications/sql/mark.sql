-- Writes FCM's answers. Returns the marked reminders by bucket of lateness (null for those not just accepted),
-- and then the deliveries. Each array comes as one text (`queue._column`).

WITH held AS (
    UPDATE notification_logs n
    -- A push that another device accepted at an earlier attempt is not dead.
    SET status = CASE WHEN r.status = 'dead' AND n.sent_at IS NOT NULL THEN 'accepted' ELSE r.status END,
        -- An array of one empty text comes as an empty array, so its element is null.
        reason = coalesce(r.reason, ''),
        sent_at = CASE WHEN r.is_accepted THEN coalesce(n.sent_at, statement_timestamp()) ELSE n.sent_at END,
        retry_at = statement_timestamp() + make_interval(secs => r.retry_after),
        closed_at = CASE WHEN r.status <> 'queued' THEN statement_timestamp() END,
        lease_token = NULL,
        lease_until = NULL
    FROM unnest(
        string_to_array(%(ids)s, e'\x1f')::uuid[], string_to_array(%(lease_tokens)s, e'\x1f')::uuid[],
        string_to_array(%(statuses)s, e'\x1f'), string_to_array(%(reasons)s, e'\x1f'),
        string_to_array(%(accepted)s, e'\x1f')::bool[], string_to_array(%(retries)s, e'\x1f', '')::float8[]
    ) AS r (id, lease_token, status, reason, is_accepted, retry_after)
    -- Nothing is written for a push whose lease another worker has taken over. `status || ''`: see claim.sql.
    WHERE n.id = r.id AND n.lease_token = r.lease_token AND n.status || '' = 'queued'
    RETURNING n.id, n.claimed_at, CASE WHEN r.is_accepted THEN statement_timestamp() - n.send_at END AS lateness,
              -- Not when it had been accepted for another device before; tests and withdrawals are due when
              -- they are made.
              n.sent_at = statement_timestamp() AND n.kind NOT IN ('test', 'withdraw') AS is_first
), delivered AS (
    INSERT INTO push_deliveries (id, notification_id, device_id, outcome, message_id, error_code, claimed_at)
    SELECT o.id, o.notification_id, o.device_id, o.outcome, coalesce(o.message_id, ''), coalesce(o.error_code, ''),
           held.claimed_at
    FROM unnest(
        string_to_array(%(delivery_ids)s, e'\x1f')::uuid[], string_to_array(%(notification_ids)s, e'\x1f')::uuid[],
        string_to_array(%(device_ids)s, e'\x1f')::uuid[], string_to_array(%(outcomes)s, e'\x1f'),
        string_to_array(%(message_ids)s, e'\x1f'), string_to_array(%(error_codes)s, e'\x1f')
    ) AS o (id, notification_id, device_id, outcome, message_id, error_code)
    JOIN held ON held.id = o.notification_id
    JOIN device_tokens t ON t.id = o.device_id
    ON CONFLICT (notification_id, device_id) DO UPDATE
    SET outcome = excluded.outcome, message_id = excluded.message_id, error_code = excluded.error_code,
        attempts = push_deliveries.attempts + 1, claimed_at = excluded.claimed_at, answered_at = excluded.answered_at,
        -- Earlier answers are kept for the trace.
        earlier = push_deliveries.earlier || jsonb_build_object(
            'claimed_at', push_deliveries.claimed_at, 'answered_at', push_deliveries.answered_at,
            'error_code', push_deliveries.error_code
        )
    RETURNING outcome, error_code
)
SELECT width_bucket(extract(epoch FROM CASE WHEN is_first THEN lateness END)::float8, %(bounds)s::float8[]), NULL, NULL,
       count(*), max(lateness), coalesce(sum(extract(epoch FROM CASE WHEN is_first THEN lateness END)), 0)::float8
FROM held GROUP BY 1
UNION ALL
SELECT NULL, outcome, error_code, count(*), NULL, NULL FROM delivered GROUP BY outcome, error_code
