-- Marks a batch of unanswered doses whose answer window has ended as missed. A dose that is locked, because
-- it is being answered at this moment, is left to the next batch.
UPDATE dose_logs SET status = %(missed)s, snoozed_until = NULL, reopened_until = NULL
WHERE id = ANY(ARRAY(
    SELECT id FROM dose_logs
    WHERE status = 'pending' AND answer_by <= %(now)s
    ORDER BY answer_by LIMIT %(limit)s
    FOR NO KEY UPDATE SKIP LOCKED
))
