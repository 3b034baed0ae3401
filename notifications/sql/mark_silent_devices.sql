-- Marks devices whose last pushes were accepted by FCM and not acknowledged, and whose app gave no other sign
-- of life since the first of these. An acknowledgement that is committed meanwhile is not seen; the next one
-- clears the mark.

UPDATE device_tokens t SET silent_since = unheard.since
FROM (
    SELECT DISTINCT device_id FROM push_deliveries
    WHERE id >= %(lately)s AND outcome = 'accepted' AND arrived_at IS NULL
) pushed
JOIN device_tokens d ON d.id = pushed.device_id AND d.revoked_at IS NULL AND d.silent_since IS NULL
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE number <= %(pushes)s) AS pushes,
           min(sent_at) FILTER (WHERE number <= %(pushes)s) AS since,
           bool_or(acknowledged_at IS NOT NULL) FILTER (WHERE number <= %(pushes)s) AS is_acknowledged,
           max(acknowledged_at) AS acknowledged_at
    FROM (
        SELECT max(answered_at) AS sent_at, max(acknowledged_at) AS acknowledged_at,
               row_number() OVER (ORDER BY max(answered_at) DESC) AS number
        FROM (
            SELECT p.message_id, p.answered_at, greatest(p.arrived_at, p.shown_at, p.opened_at) AS acknowledged_at
            FROM push_deliveries p
            JOIN notification_logs n ON n.id = p.notification_id AND n.kind <> 'withdraw'
            WHERE p.device_id = d.id AND p.outcome = 'accepted'
              AND p.answered_at >= d.owned_since
            ORDER BY p.id DESC LIMIT %(deliveries)s
        ) deliveries
        GROUP BY message_id
    ) pushes
) unheard
LEFT JOIN sessions s ON s.id = d.session_id
WHERE t.id = d.id AND t.silent_since IS NULL AND t.revoked_at IS NULL
  AND unheard.pushes = %(pushes)s AND NOT unheard.is_acknowledged
  AND greatest(d.last_seen_at, s.last_used_at, unheard.acknowledged_at) < unheard.since
  AND NOT EXISTS (
      SELECT FROM dose_logs l
      JOIN dose_events e ON e.dose_id = l.id
      WHERE l.user_id = d.user_id AND l.log_date >= unheard.since::date - %(days_back)s
        AND e.session_id = d.session_id AND e.recorded_at >= unheard.since
  )
