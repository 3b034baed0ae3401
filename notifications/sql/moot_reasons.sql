-- Why each reminder of a dose is moot at an instant, without withdrawals. The row without a reminder says why the
-- dose gets none.

SELECT (reminder.n).id, medtrack_moot_reason(reminder.n, u, d, m, s, %(now)s)
FROM (VALUES (%(dose_id)s::uuid)) AS asked (dose_id)
LEFT JOIN dose_logs d ON d.id = asked.dose_id
CROSS JOIN LATERAL (
    SELECT n FROM notification_logs n WHERE n.dose_id = asked.dose_id AND n.kind <> 'withdraw'
    UNION ALL
    SELECT NULL
) reminder (n)
LEFT JOIN users u ON u.id = coalesce((reminder.n).user_id, d.user_id)
LEFT JOIN medications m ON m.id = d.medication_id
LEFT JOIN schedules s ON s.id = d.schedule_id
