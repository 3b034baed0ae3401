-- Locks a batch of the schedules that are due for planning and passes over those that another planner has
-- locked.
SELECT id::text FROM schedules
WHERE next_due_at < %(until)s AND plan_error = ''
ORDER BY next_due_at LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED
