-- Locks those of these schedules that are due for planning, and waits for another planner that has locked
-- them.
SELECT id::text FROM schedules
WHERE id = ANY(%(ids)s) AND planned_until < %(until)s AND plan_error = ''
ORDER BY id
FOR NO KEY UPDATE
