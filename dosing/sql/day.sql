-- The doses of a date of somebody whose session lives, in the order in which they are lived; at least one row
-- when it lives, with nulls when there are none. An intake that was taken back is not part of the day.
SELECT s.timezone, d.log_date, d.id, d.schedule_id, d.medication_id, m.name, m.dosage, m.color_tag,
       to_char(d.scheduled_time, 'HH24:MI'), d.due_at, trim_scale(coalesce(d.taken_quantity, d.quantity))::text,
       d.status, d.taken_at, d.snoozed_until, d.recorded_by_id, d.skip_reason, d.note
FROM living_sessions s
LEFT JOIN dose_logs d ON d.user_id = s.user_id AND d.log_date = %(day)s
    AND (d.schedule_id IS NOT NULL OR d.status <> 'pending')
LEFT JOIN medications m ON m.id = d.medication_id
WHERE s.id = %(session_id)s AND s.user_id = %(user_id)s
ORDER BY coalesce(d.due_at, d.taken_at), d.id
