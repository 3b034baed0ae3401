-- The instant of a medication's last taken dose, planned or not: no row without one.
SELECT taken_at FROM dose_logs
WHERE medication_id = %(medication_id)s AND taken_at IS NOT NULL AND id IS DISTINCT FROM %(exclude)s::uuid
ORDER BY taken_at DESC LIMIT 1
