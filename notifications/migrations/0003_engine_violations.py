"""The engine's invariants as one view, which is empty while all is well, a table for what each look at it finds, and
one for the signs of life of its processes.

`engine_violations` reads only what the database knows and takes no lock that anybody waits for. What it reads of the
large tables is of the last two days, found by key: ids are made in order of time. Where the engine may still be at
work, or a fact may have changed in between, it stays silent: a row of this view is a defect.
"""

import django.db.models.functions.datetime
from django.db import migrations, models

import medtrack.common.ids

FUNCTIONS = """
CREATE FUNCTION medtrack_uuid7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid;

-- How many days the steps of a taper last.
CREATE FUNCTION medtrack_taper_days(cycle_value jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT coalesce(sum(days::int), 0)
    FROM jsonb_path_query(cycle_value, '$.steps[*].days ? (@ >= 1 && @ <= 366)') AS days
);

-- Whether a cycle falls on a date: dosing/cycles.py once more, by other means, as its witness. What cannot be read
-- falls on no date and never raises.
CREATE FUNCTION medtrack_falls_on(cycle_type text, cycle_value jsonb, start_date date, day date) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN day >= start_date AND coalesce(CASE cycle_type
    WHEN 'daily' THEN true
    WHEN 'weekly' THEN
        cycle_value->'days' ? (ARRAY['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow FROM day)::int]
        AND ((day - extract(isodow FROM day)::int) - (start_date - extract(isodow FROM start_date)::int)) / 7
            % coalesce(jsonb_path_query_first(cycle_value, '$.every ? (@ >= 1 && @ <= 52)')::int, 1) = 0
    WHEN 'interval' THEN
        (day - start_date) % jsonb_path_query_first(cycle_value, '$.every ? (@ >= 1 && @ <= 366)')::int = 0
    WHEN 'on_off' THEN
        (day - start_date) % (
            jsonb_path_query_first(cycle_value, '$.on ? (@ >= 1 && @ <= 366)')::int
            + jsonb_path_query_first(cycle_value, '$.off ? (@ >= 1 && @ <= 366)')::int
        ) < jsonb_path_query_first(cycle_value, '$.on ? (@ >= 1 && @ <= 366)')::int
    WHEN 'monthly' THEN
        cycle_value->'days' @> to_jsonb(extract(day FROM day)::int)
        OR extract(day FROM day + 1) = 1
            AND jsonb_path_exists(cycle_value, '$.days[*] ? (@ > $last)', jsonb_build_object('last', extract(day FROM day)))
    WHEN 'dates' THEN cycle_value->'dates' ? to_char(day, 'YYYY-MM-DD')
    WHEN 'taper' THEN day - start_date < medtrack_taper_days(cycle_value)
    ELSE false
END, false);
"""
NO_FUNCTIONS = """
DROP FUNCTION medtrack_falls_on(text, jsonb, date, date);
DROP FUNCTION medtrack_taper_days(jsonb);
DROP FUNCTION medtrack_uuid7_floor(timestamptz);
"""

VIEW = """
CREATE VIEW engine_violations (invariant, subject, detail) AS

-- Constraints and triggers that the invariants below rely on.
SELECT guard.invariant, NULL::uuid, guard.name || ' is missing or disabled'
FROM (VALUES
    ('I1', 'dose_logs', 'dose_logs_once_per_schedule_and_date'),
    ('I2', 'notification_logs', 'notification_logs_once_per_dose_and_step'),
    ('I2', 'push_deliveries', 'push_deliveries_once_per_reminder_and_device'),
    ('I3', 'notification_logs', 'notification_logs_final_states_stay'),
    ('I3', 'push_deliveries', 'push_deliveries_final_states_stay'),
    ('I12', 'notification_logs', 'notification_logs_moot_and_dead_have_a_reason'),
    ('I15', 'dose_events', 'dose_events_pkey'),
    ('I15', 'dose_events', 'dose_events_are_append_only')
) AS guard (invariant, relation, name)
WHERE NOT EXISTS (
    SELECT FROM pg_constraint c
    WHERE c.conrelid = to_regclass(guard.relation) AND c.conname = guard.name AND c.convalidated
) AND NOT EXISTS (
    SELECT FROM pg_trigger t
    WHERE t.tgrelid = to_regclass(guard.relation) AND t.tgname = guard.name AND t.tgenabled IN ('O', 'A')
)

UNION ALL
-- The planner is ahead of the clock by more than a day; here it is behind.
SELECT 'I1', s.id, CASE s.plan_error WHEN '' THEN 'not planned although due' ELSE 'set aside for more than a day' END
FROM schedules s
JOIN medications m ON m.id = s.medication_id AND m.is_active AND m.paused_at IS NULL AND m.deleted_at IS NULL
JOIN users u ON u.id = m.user_id AND u.is_active AND u.deleted_at IS NULL
WHERE s.is_active AND s.deleted_at IS NULL
  AND s.next_due_at < statement_timestamp()
      - CASE s.plan_error WHEN '' THEN interval '10 minutes' ELSE interval '1 day' END

UNION ALL
-- By dates that are over in every time zone, for rules that stood still since well before them: before whatever was
-- planned ahead for them.
SELECT 'I1', s.id, 'no dose on ' || day
FROM schedules s
JOIN medications m ON m.id = s.medication_id AND m.is_active AND m.paused_at IS NULL AND m.deleted_at IS NULL
JOIN users u ON u.id = m.user_id AND u.is_active AND u.deleted_at IS NULL
CROSS JOIN LATERAL (
    SELECT (statement_timestamp() AT TIME ZONE 'UTC')::date - back AS day FROM (VALUES (2), (3)) AS days (back)
) past
WHERE s.is_active AND s.deleted_at IS NULL AND s.plan_error = '' AND day <= coalesce(s.end_date, day)
  AND greatest(s.updated_at, s.created_at, m.updated_at, u.updated_at) < day::timestamp AT TIME ZONE 'UTC' - interval '3 days'
  AND medtrack_falls_on(s.cycle_type, s.cycle_value, s.start_date, day)
  AND NOT EXISTS (SELECT FROM dose_logs d WHERE d.log_date = day AND d.schedule_id = s.id)

UNION ALL
-- Nobody touched the dose, and nothing about it changed since it was due or, while the engine may still make up for
-- it, in the last minutes.
SELECT 'I2', d.id, 'due without a reminder'
FROM dose_logs d
JOIN schedules s ON s.id = d.schedule_id AND s.reminder_enabled AND s.is_active AND s.deleted_at IS NULL
JOIN medications m ON m.id = d.medication_id AND m.is_active AND m.paused_at IS NULL AND m.deleted_at IS NULL
JOIN users u ON u.id = d.user_id AND u.is_active AND u.deleted_at IS NULL
CROSS JOIN LATERAL (
    SELECT greatest(d.created_at, s.updated_at, m.updated_at, u.updated_at) AS changed_at
) last
WHERE d.status IN ('pending', 'missed')
  AND d.log_date BETWEEN (statement_timestamp() AT TIME ZONE 'UTC')::date - 3
                     AND (statement_timestamp() AT TIME ZONE 'UTC')::date + 1
  AND d.due_at BETWEEN statement_timestamp() - interval '2 days' AND statement_timestamp() - interval '2 minutes'
  AND (last.changed_at < d.due_at OR (
      d.status = 'pending' AND d.due_at > statement_timestamp() - interval '4 hours' + interval '2 minutes'
      AND last.changed_at < statement_timestamp() - interval '2 minutes'
  ))
  AND NOT EXISTS (SELECT FROM dose_events e WHERE e.dose_id = d.id)
  AND NOT EXISTS (SELECT FROM notification_logs n WHERE n.dose_id = d.id AND n.kind = 'due')

UNION ALL
SELECT 'I2', n.id, 'handed over to no device'
FROM notification_logs n
WHERE n.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days')
  AND n.sent_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM push_deliveries p WHERE p.notification_id = n.id AND p.outcome = 'accepted')

UNION ALL
-- A reason in small letters is the queue's own: it found that the rest of the devices need not be told any more.
-- Devices that came or went around the claim are left out, as are those whose sign-in is not known any more.
SELECT 'I2', n.id, 'a device was left out'
FROM notification_logs n
JOIN device_tokens t ON t.user_id = n.user_id
    AND greatest(t.created_at, t.owned_since, t.last_seen_at) < n.claimed_at - interval '10 seconds'
    AND coalesce(t.revoked_at, 'infinity') > n.claimed_at + interval '1 minute'
JOIN sessions a ON a.id = t.session_id AND coalesce(a.revoked_at, 'infinity') > n.claimed_at + interval '1 minute'
WHERE n.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days')
  AND n.status = 'accepted' AND n.reason !~ '[a-z]'
  AND (n.device_id IS NULL OR n.device_id = t.id)
  AND NOT EXISTS (SELECT FROM push_deliveries p WHERE p.notification_id = n.id AND p.device_id = t.id)

UNION ALL
-- An answer may be written down late, when the process that had it was stopped or the database away.
SELECT 'I8', p.id, 'handed over after its expiry'
FROM push_deliveries p
JOIN notification_logs n ON n.id = p.notification_id
WHERE p.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days')
  AND (p.claimed_at >= n.expires_at OR p.answered_at > n.expires_at + interval '5 minutes')

UNION ALL
SELECT 'I9', n.id, 'lease ran out and nobody took over'
FROM notification_logs n
WHERE n.status = 'queued' AND n.lease_until < statement_timestamp() - interval '30 seconds'

UNION ALL
-- Here and below some seconds are allowed: what people do is dated when their request came, and counts when it is
-- committed; and the clock of the machine that took it may be a little off.
SELECT 'I10', p.id, CASE
    WHEN p.claimed_at > t.revoked_at + interval '5 seconds' THEN 'handed over to a revoked device'
    WHEN p.claimed_at > a.revoked_at + interval '5 seconds' THEN 'handed over to a device that signed out'
    ELSE 'handed over to an erased person'
END
FROM push_deliveries p
JOIN device_tokens t ON t.id = p.device_id
JOIN users u ON u.id = t.user_id
LEFT JOIN sessions a ON a.id = t.session_id
WHERE p.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days')
  AND p.claimed_at > least(t.revoked_at, a.revoked_at, u.deleted_at) + interval '5 seconds'

UNION ALL
SELECT 'I11', p.id, 'handed over to a device of somebody else'
FROM push_deliveries p
JOIN notification_logs n ON n.id = p.notification_id
JOIN device_tokens t ON t.id = p.device_id
WHERE p.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days')
  AND t.user_id <> n.user_id AND p.claimed_at > t.owned_since + interval '5 seconds'

UNION ALL
SELECT 'I12', n.id, n.status || ' without a reason'
FROM notification_logs n
WHERE n.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days')
  AND n.status IN ('moot', 'dead') AND n.reason = ''

UNION ALL
-- When it was recorded counts, not when it is said to have happened. An answer that stands was not taken back since.
SELECT 'I13', p.id, n.kind || ' handed over after the answer'
FROM push_deliveries p
JOIN notification_logs n ON n.id = p.notification_id AND n.kind IN ('due', 'follow_up', 'snoozed')
JOIN dose_logs d ON d.id = n.dose_id AND d.status IN ('taken', 'skipped')
CROSS JOIN LATERAL (
    SELECT max(e.recorded_at) AS recorded_at FROM dose_events e
    WHERE e.dose_id = d.id AND e.action IN ('taken', 'skipped')
) answer
WHERE p.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days')
  AND p.claimed_at > answer.recorded_at + interval '5 seconds'

UNION ALL
-- What the engine sends of its own accord. The end of a snooze, a test and the withdrawals that follow an answer are
-- asked for by the person; they use the allowance up and are not stopped by it.
SELECT DISTINCT 'I14', user_id, 'more than 20 follow-ups within an hour'
FROM (
    SELECT user_id, count(*) OVER (
        PARTITION BY user_id ORDER BY send_at RANGE BETWEEN interval '59 minutes 59 seconds' PRECEDING AND CURRENT ROW
    ) AS pushes
    FROM (
        SELECT n.user_id, n.tag, n.step, min(n.send_at) AS send_at
        FROM notification_logs n
        WHERE n.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days')
          AND n.kind = 'follow_up' AND n.status <> 'moot'
        GROUP BY n.user_id, n.tag, n.step
    ) push
) hour
WHERE pushes > 20

UNION ALL
-- Answers that crossed each other are left out: which of them came last cannot be told by their times.
SELECT 'I15', d.id, d.status || ' although the last event says ' || last.action
FROM (
    SELECT DISTINCT ON (e.dose_id) e.dose_id, e.action, e.recorded_at - lag(e.recorded_at) OVER (
        PARTITION BY e.dose_id ORDER BY e.recorded_at
    ) AS since_the_one_before
    FROM dose_events e
    WHERE e.action IN ('taken', 'skipped', 'reopened')
      AND e.dose_id IN (
          SELECT r.dose_id FROM dose_events r WHERE r.recorded_at > statement_timestamp() - interval '2 days'
      )
    ORDER BY e.dose_id, e.recorded_at DESC
) last
JOIN dose_logs d ON d.id = last.dose_id
WHERE (last.since_the_one_before IS NULL OR last.since_the_one_before > interval '5 seconds')
  AND NOT (d.status = last.action OR last.action = 'reopened' AND d.status IN ('pending', 'missed'))

UNION ALL
-- The hot tables have no foreign keys here. A dose that nobody touched may vanish while its reminder waits, and events
-- outlive the session they came through.
SELECT 'references', p.id, CASE WHEN n.id IS NULL THEN 'reminder is gone' ELSE 'device is gone' END
FROM push_deliveries p
LEFT JOIN notification_logs n ON n.id = p.notification_id
LEFT JOIN device_tokens t ON t.id = p.device_id
WHERE p.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days') AND (n.id IS NULL OR t.id IS NULL)

UNION ALL
SELECT 'references', n.id, 'handed over about a dose, schedule or device that is gone'
FROM notification_logs n
WHERE n.id >= medtrack_uuid7_floor(statement_timestamp() - interval '2 days')
  AND n.status = 'accepted'
  AND (
      n.dose_id IS NOT NULL AND NOT EXISTS (SELECT FROM dose_logs d WHERE d.id = n.dose_id)
      OR n.schedule_id IS NOT NULL AND NOT EXISTS (SELECT FROM schedules s WHERE s.id = n.schedule_id)
      OR n.device_id IS NOT NULL AND NOT EXISTS (SELECT FROM device_tokens t WHERE t.id = n.device_id)
  );
"""


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0002_queue"),
        ("users", "0001_initial"),
        ("medications", "0001_initial"),
        ("dosing", "0002_append_only_events"),
    ]
    operations = [
        migrations.CreateModel(
            name="EngineCheck",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "ran_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="ran at"
                    ),
                ),
                ("seconds", models.FloatField(verbose_name="seconds")),
                ("violations", models.JSONField(blank=True, default=dict, verbose_name="violations")),
            ],
            options={
                "verbose_name": "engine check",
                "verbose_name_plural": "engine checks",
                "db_table": "engine_checks",
            },
        ),
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                (
                    "process",
                    models.CharField(
                        choices=[("beat", "beat"), ("worker", "worker"), ("mailer", "mailer")],
                        max_length=8,
                        primary_key=True,
                        serialize=False,
                        verbose_name="process",
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name="at"
                    ),
                ),
            ],
            options={
                "verbose_name": "heartbeat",
                "verbose_name_plural": "heartbeats",
                "db_table": "heartbeats",
                "default_permissions": (),
            },
        ),
        migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS),
        migrations.RunSQL(VIEW, "DROP VIEW engine_violations;"),
    ]
