-- Reads schedules after they were locked, as a statement of its own. In the locking statement PostgreSQL
-- would take joined rows from that statement's snapshot, and miss a zone change or a pause that was committed
-- while it waited for the lock. Writers of those lock the schedules too, so what is read here stays true
-- until the transaction ends.
SELECT s.id::text, s.medication_id::text, m.user_id::text, coalesce(s.timezone, u.timezone), s.scheduled_time,
       s.cycle_type, s.cycle_value, s.quantity, s.start_date, s.end_date, s.travel::text, s.planned_until AT TIME ZONE 'UTC',
       s.is_active AND m.is_active AND (m.paused_at IS NULL OR m.paused_until IS NOT NULL), u.is_active
FROM schedules s
JOIN medications m ON m.id = s.medication_id
JOIN users u ON u.id = m.user_id
WHERE s.id = ANY(%(ids)s)
