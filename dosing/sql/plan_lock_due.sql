-- Locks a batch of the schedules that are due for planning and passes over those that another planner has
-- locked.
SELECT id::text FROM schedules
WHERE planned_until < %(until)s AND plan_error = ''
ORDER BY planned_until LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED
