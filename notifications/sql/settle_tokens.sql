-- Applies answers to tokens: `revoked` ends a token, `suspect` limits it to one push an hour, `good` ends a
-- suspicion. A token that was registered again after the claim is good, whatever FCM answered. Rows are
-- locked in the order of their ids, so that two dispatchers cannot deadlock.

WITH locked AS MATERIALIZED (
    SELECT id FROM device_tokens WHERE id = ANY (%(ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE device_tokens t
SET revoked_at = CASE WHEN r.status = 'revoked' THEN statement_timestamp() END,
    revoke_reason = CASE WHEN r.status = 'revoked' THEN r.reason ELSE '' END,
    suspect_since = CASE WHEN r.status = 'suspect' THEN coalesce(t.suspect_since, statement_timestamp()) END,
    probed_at = CASE WHEN r.status = 'revoked' THEN t.probed_at ELSE statement_timestamp() END
FROM unnest(%(ids)s::uuid[], %(statuses)s::text[], %(reasons)s::text[], %(claimed_ats)s::float8[])
    AS r (id, status, reason, claimed_at)
WHERE t.id = r.id AND t.id IN (SELECT id FROM locked) AND t.revoked_at IS NULL
  AND t.last_seen_at <= to_timestamp(r.claimed_at)
