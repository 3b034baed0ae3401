-- A follow-up waits for the end of the user's quiet hours, or is moot if the answer window ends before.

UPDATE notification_logs n
SET status = CASE WHEN r.until < r.answer_by THEN 'queued' ELSE 'moot' END,
    closed_at = CASE WHEN r.until < r.answer_by THEN NULL ELSE statement_timestamp() END,
    reason = 'quiet_hours',
    send_at = CASE WHEN r.until < r.answer_by THEN r.until ELSE n.send_at END,
    expires_at = CASE WHEN r.until < r.answer_by THEN least(r.until + %(lifetime)s, r.answer_by) ELSE n.expires_at END,
    -- The claim counted an attempt, but nothing was sent.
    attempts = n.attempts - 1,
    claimed_at = NULL,
    lease_token = NULL,
    lease_until = NULL
FROM unnest(%(ids)s::uuid[], %(lease_tokens)s::uuid[], %(untils)s::timestamptz[], %(answer_bys)s::timestamptz[])
    AS r (id, lease_token, until, answer_by)
WHERE n.id = r.id AND n.lease_token = r.lease_token AND n.status || '' = 'queued'
RETURNING n.status
