-- Clears devices whose session was used, or answered a dose, since they fell silent.

WITH answered AS MATERIALIZED (
    SELECT session_id, max(recorded_at) AS at FROM dose_events
    WHERE recorded_at >= %(lately)s AND session_id IS NOT NULL GROUP BY session_id
)
UPDATE device_tokens t SET silent_since = NULL
FROM device_tokens d
LEFT JOIN sessions s ON s.id = d.session_id
LEFT JOIN answered a ON a.session_id = d.session_id
WHERE t.id = d.id AND t.silent_since IS NOT NULL AND t.revoked_at IS NULL
  AND d.silent_since IS NOT NULL AND d.revoked_at IS NULL
  AND greatest(s.last_used_at, a.at) >= d.silent_since
