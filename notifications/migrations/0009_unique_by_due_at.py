"""The key of reminders: dose, its due time, kind and step. Built beside the writes that go on."""

from django.db import migrations, models

BUILD = """
CREATE UNIQUE INDEX CONCURRENTLY notification_logs_once_per_dose_due_at_and_step
ON notification_logs (dose_id, due_at, kind, step)
"""
USE = """
ALTER TABLE notification_logs ADD CONSTRAINT notification_logs_once_per_dose_due_at_and_step
    UNIQUE USING INDEX notification_logs_once_per_dose_due_at_and_step,
    DROP CONSTRAINT notification_logs_once_per_dose_and_step
"""
UNBUILD = "DROP INDEX CONCURRENTLY IF EXISTS notification_logs_once_per_dose_due_at_and_step"
# Under the old key the reminders of a dose that moved are counted on.
BACK = """
ALTER TABLE notification_logs DROP CONSTRAINT notification_logs_once_per_dose_due_at_and_step;
UPDATE notification_logs n SET step = counted.step
FROM (
    SELECT id, min(step) OVER dose - 1 + row_number() OVER (dose ORDER BY due_at, step) AS step,
           min(due_at) OVER dose <> max(due_at) OVER dose AS has_moved
    FROM notification_logs
    WINDOW dose AS (PARTITION BY dose_id, kind)
) counted
WHERE counted.id = n.id AND counted.has_moved;
ALTER TABLE notification_logs ADD CONSTRAINT notification_logs_once_per_dose_and_step UNIQUE (dose_id, kind, step)
"""
KEY = models.UniqueConstraint(
    fields=["dose", "due_at", "kind", "step"], name="notification_logs_once_per_dose_due_at_and_step"
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notifications", "0008_due_at")]
    operations = [
        # An earlier try that was killed may have left the index behind, invalid.
        migrations.RunSQL(UNBUILD, migrations.RunSQL.noop),
        migrations.RunSQL(BUILD, migrations.RunSQL.noop),
        migrations.RunSQL(
            USE,
            BACK,
            state_operations=[
                migrations.RemoveConstraint("notificationlog", "notification_logs_once_per_dose_and_step"),
                migrations.AddConstraint("notificationlog", KEY),
            ],
        ),
    ]
