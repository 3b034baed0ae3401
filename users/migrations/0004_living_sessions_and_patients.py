"""Two rules that SQL and Python share: which sessions are alive, and which users are patients.

Statements read the views; Python has `Session.objects.living()` and `User.objects.patients()`. A test compares them.
"""

from django.db import migrations

LIVING_SESSIONS = """
CREATE VIEW living_sessions AS
SELECT s.id, s.user_id, u.timezone
FROM sessions s
JOIN users u ON u.id = s.user_id
WHERE s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active AND u.deleted_at IS NULL;
"""
PATIENTS = """
CREATE VIEW patients AS
SELECT u.id, u.timezone
FROM users u
WHERE NOT u.is_staff AND NOT u.is_superuser AND u.deleted_at IS NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("users", "0003_rate_counters")]
    operations = [
        migrations.RunSQL(LIVING_SESSIONS, "DROP VIEW living_sessions;"),
        migrations.RunSQL(PATIENTS, "DROP VIEW patients;"),
    ]
