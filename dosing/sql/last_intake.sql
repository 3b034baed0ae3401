-- The instant of a medication's last as-needed intake: no row without one.
SELECT taken_at FROM dose_logs
WHERE medication_id = %(medication_id)s AND schedule_id IS NULL AND status = 'taken'
    AND id IS DISTINCT FROM %(exclude)s::uuid
ORDER BY taken_at DESC LIMIT 1
