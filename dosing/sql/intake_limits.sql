-- The taken doses of a medication around an instant, planned or not: those within `reach` before it, and those
-- before `until` after it, the nearest `most` of each. It reads as many entries of the index
-- dose_logs_of_medication, however many doses there are.
(
    SELECT taken_at, coalesce(taken_quantity, quantity) FROM dose_logs
    WHERE medication_id = %(medication_id)s AND taken_at > %(at)s::timestamptz - %(reach)s AND taken_at <= %(at)s
        AND id IS DISTINCT FROM %(exclude)s::uuid
    ORDER BY taken_at DESC LIMIT %(most)s
)
UNION ALL
(
    SELECT taken_at, coalesce(taken_quantity, quantity) FROM dose_logs
    WHERE medication_id = %(medication_id)s AND taken_at > %(at)s AND taken_at < %(until)s
        AND id IS DISTINCT FROM %(exclude)s::uuid
    ORDER BY taken_at LIMIT %(most)s
)
