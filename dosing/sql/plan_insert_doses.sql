-- Inserts planned doses. An occurrence that is written already is left as it is.
INSERT INTO dose_logs (id, user_id, medication_id, schedule_id, log_date, ordinal, scheduled_time, due_at,
                       answer_by, quantity, status)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::date[], %s::smallint[], %s::time[],
                     %s::timestamptz[], %s::timestamptz[], %s::numeric[], %s::text[])
ON CONFLICT (log_date, schedule_id, ordinal) DO NOTHING
