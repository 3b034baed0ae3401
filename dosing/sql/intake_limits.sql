-- As-needed intakes of a medication: how many on a local day, counted up to a limit, and the latest one near
-- an instant. Both read a bounded number of entries of the index dose_logs_intakes, however many intakes
-- there are.
WITH others AS NOT MATERIALIZED (
    SELECT taken_at FROM dose_logs
    WHERE medication_id = %(medication_id)s AND schedule_id IS NULL AND status = 'taken'
        AND id IS DISTINCT FROM %(exclude)s::uuid
)
SELECT
    (SELECT count(*) FROM (
        SELECT FROM others WHERE taken_at >= %(midnight)s AND taken_at < %(next_midnight)s LIMIT %(max_per_day)s
    ) of_day),
    (SELECT taken_at FROM others WHERE taken_at > %(after)s AND taken_at < %(before)s
     ORDER BY taken_at DESC LIMIT 1)
