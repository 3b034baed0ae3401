-- Deletes a user's schedules, doses and dose events. It locks the rows first and fails rather than wait.
SELECT count(*) FROM (
    SELECT FROM schedules WHERE medication_id IN (SELECT id FROM medications WHERE user_id = %(user)s)
    FOR UPDATE NOWAIT
) schedules;
SELECT count(*) FROM (SELECT FROM dose_logs WHERE user_id = %(user)s FOR UPDATE NOWAIT) doses;
-- The setting lets the trigger on dose_events pass the deletion, for this user and in this transaction only.
SELECT set_config('medtrack.erasing', %(user)s || ' ' || pg_current_xact_id(), true);
DELETE FROM dose_events WHERE dose_id IN (SELECT id FROM dose_logs WHERE user_id = %(user)s);
DELETE FROM dose_logs WHERE user_id = %(user)s;
DELETE FROM schedules WHERE medication_id IN (SELECT id FROM medications WHERE user_id = %(user)s);
SELECT set_config('medtrack.erasing', '', true)
