"""Reminders of doses that move, that are withdrawn, and whose medication's pause ends by itself.

`engine_violations` says so in its own words. It also has again the suspect tokens of 0004, which 0007 left out,
and is silent about the days around a change of the time zone: dates may be absorbed then.
"""

from importlib import import_module

from django.db import migrations

MOOT_REASON_BEFORE = import_module("notifications.migrations.0006_reachable_devices_and_moot_reasons").MOOT_REASON
MOOT_REASON_BEFORE = MOOT_REASON_BEFORE.partition("-- How many leases")[0].replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
)
MOOT_REASON = """
CREATE OR REPLACE FUNCTION medtrack_moot_reason(
    n notification_logs, u users, d dose_logs, m medications, s schedules, now timestamptz
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN n.expires_at <= now THEN 'expired'
    WHEN u.is_active IS NOT TRUE OR u.deleted_at IS NOT NULL THEN 'user_inactive'
    WHEN n.dose_id IS NOT NULL AND d.id IS NULL THEN 'dose_removed'
    WHEN n.kind = 'withdraw' THEN CASE WHEN d.status = 'pending' AND d.withdrawn_at IS NULL THEN 'reopened' END
    WHEN d.status = 'missed' THEN 'missed'
    WHEN d.status <> 'pending' THEN 'answered'
    WHEN m.deleted_at IS NOT NULL OR NOT m.is_active THEN 'medication_ended'
    WHEN m.paused_at IS NOT NULL AND (m.paused_until IS NULL OR m.paused_until > now) THEN 'medication_paused'
    WHEN s.deleted_at IS NOT NULL OR NOT s.is_active THEN 'schedule_ended'
    WHEN d.withdrawn_at IS NOT NULL THEN 'dose_withdrawn'
    WHEN NOT medtrack_reminds_of(n, d) THEN 'dose_moved'
    WHEN NOT s.reminder_enabled THEN 'reminder_disabled'
    WHEN n.kind = 'snoozed' AND d.snoozed_until IS DISTINCT FROM n.send_at THEN 'snoozed_again'
    WHEN n.kind <> 'snoozed' AND d.snoozed_until > now THEN 'snoozed'
END;
"""

VIEW_BEFORE = import_module("notifications.migrations.0007_dose_ordinals").NOW
VIEW = import_module("notifications.migrations.0004_suspect_tokens").VIEW.replace(
    "CREATE VIEW", "CREATE OR REPLACE VIEW", 1
)
IS_WANTED = "m.is_active AND m.paused_at IS NULL AND m.deleted_at IS NULL"
OF_DUE_DOSE = "WHERE n.dose_id = d.id AND n.kind = 'due')"
LAST_CHANGES = "greatest(s.updated_at, s.created_at, m.updated_at, u.updated_at)"
CHANGES_BEFORE_DUE = "greatest(d.created_at, s.updated_at, m.updated_at, u.updated_at)"
NOT_PLANNED = """
WHERE s.is_active AND s.deleted_at IS NULL
  AND s.next_due_at <"""
CHANGES = [
    ("dose_logs_once_per_schedule_and_date", "dose_logs_once_per_schedule_date_and_ordinal", 1),
    ("notification_logs_once_per_dose_and_step", "notification_logs_once_per_dose_due_at_and_step", 1),
    # The end of a pause counts as a change, also one that is still to come.
    (
        IS_WANTED,
        "m.is_active AND m.deleted_at IS NULL AND (m.paused_at IS NULL OR m.paused_until IS NOT NULL)",
        3,
    ),
    (
        NOT_PLANNED,
        NOT_PLANNED.replace(
            "AND s.next_due_at", "AND coalesce(m.paused_until < statement_timestamp() - interval '10 minutes', true)\n  AND s.planned_until"
        ),
        1,
    ),
    (
        LAST_CHANGES,
        LAST_CHANGES.replace("u.updated_at", "u.updated_at, m.paused_until"),
        1,
    ),
    (CHANGES_BEFORE_DUE, CHANGES_BEFORE_DUE.replace("u.updated_at", "u.updated_at, m.paused_until"), 1),
    (
        "\n  AND medtrack_falls_on(",
        """
  -- Around a change of the time zone a date may be absorbed.
  AND coalesce(day - 7 > (greatest(
      (s.travel->>'last_due_at')::timestamptz, (s.travel->'kept'->>'due_at')::timestamptz
  ) AT TIME ZONE 'UTC')::date, true)
  AND medtrack_falls_on(""",
        1,
    ),
    ("WHERE d.status IN ('pending', 'missed')\n", "WHERE d.status IN ('pending', 'missed') AND d.withdrawn_at IS NULL\n", 1),
    (OF_DUE_DOSE, "WHERE n.dose_id = d.id AND n.kind = 'due' AND n.due_at = d.due_at)", 1),
]
for old, new, times in CHANGES:
    assert VIEW.count(old) == times, (old, VIEW.count(old))
    VIEW = VIEW.replace(old, new)


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0010_fill_due_at"),
        ("medications", "0002_events_versions_and_pauses"),
        ("dosing", "0011_withdrawn_doses_do_not_count"),
    ]
    operations = [
        migrations.RunSQL(MOOT_REASON, MOOT_REASON_BEFORE),
        migrations.RunSQL(VIEW, VIEW_BEFORE),
    ]
