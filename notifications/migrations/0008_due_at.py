"""When the dose of a reminder was due when the reminder was made, and whether the reminder is still about that.

PostgreSQL inlines the function, so that an index on dose and due time serves it.
"""

from django.db import migrations, models

REMINDS_OF = """
CREATE FUNCTION medtrack_reminds_of(n notification_logs, d dose_logs) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN n.dose_id = d.id AND n.due_at = d.due_at;
"""
NOT_REMINDS_OF = "DROP FUNCTION medtrack_reminds_of(notification_logs, dose_logs);"


class Migration(migrations.Migration):
    dependencies = [("notifications", "0007_dose_ordinals")]
    operations = [
        migrations.AddField(
            "notificationlog", "due_at", models.DateTimeField(blank=True, null=True, verbose_name="due at")
        ),
        migrations.RunSQL(REMINDS_OF, NOT_REMINDS_OF),
    ]
