-- Refreshes the summaries of all patients and writes those that changed. Adherence is what dosing.adherence defines,
-- over whole local days before `today`; Python passes the date of each zone, so that both use the same time zone data.
-- Only answers recorded `since` the last refresh are read: events are never deleted, so the latest one can only become
-- later. Answers of new patients are found by key. The first patient's row is always written: it has the time.

WITH people AS MATERIALIZED (
    SELECT p.id, coalesce(z.today, %(today)s) AS today, row_number() OVER (ORDER BY p.id) = 1 AS is_first
    FROM patients p
    LEFT JOIN unnest(%(zones)s::text[], %(todays)s::date[]) AS z (zone, today) ON z.zone = p.timezone
), doses AS (
    SELECT d.user_id,
           count(*) FILTER (WHERE d.log_date >= p.today - 7) AS due_7,
           count(*) FILTER (WHERE d.log_date >= p.today - 7 AND d.status = 'taken') AS taken_7,
           count(*) FILTER (WHERE d.log_date >= p.today - 30) AS due_30,
           count(*) FILTER (WHERE d.log_date >= p.today - 30 AND d.status = 'taken') AS taken_30,
           count(*) FILTER (WHERE d.log_date < p.today - 30) AS due_before,
           count(*) FILTER (WHERE d.log_date < p.today - 30 AND d.status = 'taken') AS taken_before
    FROM people p
    JOIN dose_logs d ON d.user_id = p.id AND d.log_date BETWEEN p.today - 60 AND p.today - 1
    WHERE d.log_date BETWEEN %(first)s AND %(last)s
      AND medtrack_is_due(d, %(now)s)
    GROUP BY d.user_id
), answers AS (
    SELECT d.user_id, max(least(e.occurred_at, e.recorded_at)) AS at
    FROM dose_events e
    JOIN dose_logs d ON d.id = e.dose_id
    WHERE e.recorded_at >= coalesce(%(since)s, '-infinity'::timestamptz)
    GROUP BY d.user_id
), devices AS (
    SELECT t.user_id, count(*) AS reachable, count(t.silent_since) AS silent
    FROM reachable_devices t
    GROUP BY t.user_id
), failed AS (
    SELECT n.user_id, count(DISTINCT (n.tag, n.kind, n.step)) AS pushes
    FROM notification_logs n
    -- Made shortly before they were to be sent, or long before when quiet hours held them.
    WHERE n.id >= %(first_push)s
      AND n.send_at >= %(week_ago)s
      AND n.status = 'dead' AND n.sent_at IS NULL AND n.kind <> 'withdraw'
      AND n.reason <> ALL (%(needless)s)
    GROUP BY n.user_id
), fresh AS (
    SELECT p.id, p.is_first,
           d.taken_7::float8 / nullif(d.due_7, 0) AS adherence_7,
           d.taken_30::float8 / nullif(d.due_30, 0) AS adherence_30,
           d.taken_before::float8 / nullif(d.due_before, 0) AS adherence_before,
           greatest(s.last_answer_at, a.at, earlier.at) AS last_answer_at,
           coalesce(v.reachable, 0) AS device_count,
           coalesce(v.silent, 0) AS silent_device_count,
           coalesce(f.pushes, 0) AS failed_push_count
    FROM people p
    LEFT JOIN patient_summaries s ON s.patient_id = p.id
    LEFT JOIN doses d ON d.user_id = p.id
    LEFT JOIN answers a ON a.user_id = p.id
    LEFT JOIN devices v ON v.user_id = p.id
    LEFT JOIN failed f ON f.user_id = p.id
    LEFT JOIN LATERAL (
        SELECT max(least(e.occurred_at, e.recorded_at)) AS at
        FROM dose_logs l JOIN dose_events e ON e.dose_id = l.id
        WHERE l.user_id = p.id AND s.patient_id IS NULL AND %(since)s IS NOT NULL
    ) earlier ON true
), removed AS (
    DELETE FROM patient_summaries s
    WHERE NOT EXISTS (SELECT FROM people p WHERE p.id = s.patient_id)
    RETURNING s.patient_id
), written AS (
    INSERT INTO patient_summaries AS s
        (patient_id, adherence_7, adherence_30, adherence_before, last_answer_at, device_count, silent_device_count,
         failed_push_count, refreshed_at)
    SELECT f.id, f.adherence_7, f.adherence_30, f.adherence_before, f.last_answer_at, f.device_count,
           f.silent_device_count, f.failed_push_count, %(now)s
    FROM fresh f
    LEFT JOIN patient_summaries o ON o.patient_id = f.id
    WHERE f.is_first OR o.patient_id IS NULL
       OR (f.adherence_7, f.adherence_30, f.adherence_before, f.last_answer_at, f.device_count,
           f.silent_device_count, f.failed_push_count)
          IS DISTINCT FROM
          (o.adherence_7, o.adherence_30, o.adherence_before, o.last_answer_at, o.device_count,
           o.silent_device_count, o.failed_push_count)
    ON CONFLICT (patient_id) DO UPDATE
    SET (adherence_7, adherence_30, adherence_before, last_answer_at, device_count, silent_device_count,
         failed_push_count, refreshed_at)
      = (excluded.adherence_7, excluded.adherence_30, excluded.adherence_before, excluded.last_answer_at,
         excluded.device_count, excluded.silent_device_count, excluded.failed_push_count, excluded.refreshed_at)
    RETURNING s.patient_id
)
SELECT (SELECT count(*) FROM people), (SELECT count(*) FROM written), (SELECT count(*) FROM removed)
