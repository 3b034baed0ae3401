-- The doses of a user's local date, and those of the dates beside it that were taken between two instants,
-- between which the date lies in every time zone. No row if the session is not living; one row of nulls if
-- there are no doses. As-needed intakes that were undone, and doses that were withdrawn without an answer, are
-- left out.
SELECT s.timezone, {dose_columns}
FROM living_sessions s
LEFT JOIN dose_logs d ON d.user_id = s.user_id AND d.log_date BETWEEN %(day)s - 1 AND %(day)s + 1
    AND (d.log_date = %(day)s OR d.taken_at >= %(since)s AND d.taken_at < %(until)s)
    AND (d.schedule_id IS NOT NULL OR d.status <> 'pending')
    AND (d.withdrawn_at IS NULL OR d.status IN ('taken', 'skipped'))
LEFT JOIN medications m ON m.id = d.medication_id
WHERE s.id = %(session_id)s AND s.user_id = %(user_id)s
