-- Why each reminder of a dose is moot at an instant, without withdrawals. A dose without reminders has one
-- row, which says why it gets none.

SELECT n.id, medtrack_moot_reason(n, u, d, m, s, %(now)s)
FROM (VALUES (%(dose_id)s::uuid)) AS asked (dose_id)
LEFT JOIN dose_logs d ON d.id = asked.dose_id
LEFT JOIN notification_logs n ON n.dose_id = asked.dose_id AND n.kind <> 'withdraw'
LEFT JOIN users u ON u.id = coalesce(n.user_id, d.user_id)
LEFT JOIN medications m ON m.id = d.medication_id
LEFT JOIN schedules s ON s.id = d.schedule_id
