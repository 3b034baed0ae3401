-- A token that registered again after the claim is alive whatever FCM said about its past.

UPDATE device_tokens t SET revoked_at = statement_timestamp(), revoke_reason = r.reason
FROM unnest(%s::uuid[], %s::text[]) AS r (id, reason)
WHERE t.id = r.id AND t.revoked_at IS NULL AND t.last_seen_at <= %s
