"""Rules that SQL and Python share: which devices pushes go to, and why a reminder is moot.

Devices: statements and `DeviceToken.objects.reachable()` read the views; `DeviceToken.is_reachable` says it
of a row in memory, and a test compares them. Reasons: the claim and the trace call the function.
`engine_violations` keeps its own words: it checks the engine independently.
"""

from django.db import migrations

# A left join, so that the planner cannot begin at the sessions: a claim runs with statistics of a quiet hour.
# A foreign key makes sure that the session exists.
DEVICES = """
CREATE VIEW signed_in_devices AS
SELECT t.id, t.user_id, t.session_id, t.token, t.last_seen_at, t.suspect_since, t.probed_at, t.silent_since
FROM device_tokens t
LEFT JOIN sessions s ON s.id = t.session_id
WHERE t.revoked_at IS NULL AND t.session_id IS NOT NULL AND s.revoked_at IS NULL;

CREATE VIEW reachable_devices AS
SELECT t.id, t.user_id, t.session_id, t.silent_since
FROM signed_in_devices t
WHERE t.suspect_since IS NULL;
"""
NO_DEVICES = "DROP VIEW reachable_devices; DROP VIEW signed_in_devices;"

# PostgreSQL inlines both functions, so that they cost what their text would cost in the statement.
# Without a reminder (null) this is why the dose gets none. What the user's devices say is the claim's own.
MOOT_REASON = """
CREATE FUNCTION medtrack_moot_reason(
    n notification_logs, u users, d dose_logs, m medications, s schedules, now timestamptz
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN n.expires_at <= now THEN 'expired'
    WHEN u.is_active IS NOT TRUE OR u.deleted_at IS NOT NULL THEN 'user_inactive'
    WHEN n.dose_id IS NOT NULL AND d.id IS NULL THEN 'dose_removed'
    WHEN n.kind = 'withdraw' THEN CASE WHEN d.status = 'pending' THEN 'reopened' END
    WHEN d.status = 'missed' THEN 'missed'
    WHEN d.status <> 'pending' THEN 'answered'
    WHEN m.deleted_at IS NOT NULL OR NOT m.is_active THEN 'medication_ended'
    WHEN m.paused_at IS NOT NULL THEN 'medication_paused'
    WHEN s.deleted_at IS NOT NULL OR NOT s.is_active THEN 'schedule_ended'
    WHEN NOT s.reminder_enabled THEN 'reminder_disabled'
    WHEN n.kind = 'snoozed' AND d.snoozed_until IS DISTINCT FROM n.send_at THEN 'snoozed_again'
    WHEN n.kind <> 'snoozed' AND d.snoozed_until > now THEN 'snoozed'
END;

-- How many leases of a reminder ran their full time without a mark, the present one included.
CREATE FUNCTION medtrack_outrun_leases(n notification_logs, lease interval) RETURNS integer
LANGUAGE sql STABLE PARALLEL SAFE
RETURN n.outrun + (n.lease_until >= n.claimed_at + lease IS TRUE)::int;
"""
NO_MOOT_REASON = """
DROP FUNCTION medtrack_moot_reason(notification_logs, users, dose_logs, medications, schedules, timestamptz);
DROP FUNCTION medtrack_outrun_leases(notification_logs, interval);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0005_task_runs_and_counters"),
        ("users", "0004_living_sessions_and_patients"),
        ("medications", "0001_initial"),
        ("dosing", "0005_due_doses_and_append_only_tables"),
    ]
    operations = [
        migrations.RunSQL(DEVICES, NO_DEVICES),
        migrations.RunSQL(MOOT_REASON, NO_MOOT_REASON),
    ]
