-- A token that registered again after the claim is alive whatever FCM said about its past.

UPDATE device_tokens t SET revoked_at = statement_timestamp(), revoke_reason = r.reason
FROM unnest(%(ids)s::uuid[], %(reasons)s::text[], %(claimed_ats)s::float8[]) AS r (id, reason, claimed_at)
WHERE t.id = r.id AND t.revoked_at IS NULL AND t.last_seen_at <= to_timestamp(r.claimed_at)
