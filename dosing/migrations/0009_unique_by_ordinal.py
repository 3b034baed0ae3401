"""The key of planned doses: schedule, log date and ordinal. Built beside the writes that go on."""

from django.db import migrations, models

BUILD = """
CREATE UNIQUE INDEX CONCURRENTLY dose_logs_once_per_schedule_date_and_ordinal
ON dose_logs (log_date, schedule_id, ordinal)
"""
USE = """
ALTER TABLE dose_logs ADD CONSTRAINT dose_logs_once_per_schedule_date_and_ordinal
    UNIQUE USING INDEX dose_logs_once_per_schedule_date_and_ordinal,
    DROP CONSTRAINT dose_logs_once_per_schedule_and_date
"""
UNBUILD = "DROP INDEX CONCURRENTLY IF EXISTS dose_logs_once_per_schedule_date_and_ordinal"
# Doses of a date that happened twice cannot stay under the old key.
BACK = """
ALTER TABLE dose_logs DROP CONSTRAINT dose_logs_once_per_schedule_date_and_ordinal;
DELETE FROM dose_logs WHERE ordinal > 0 AND id NOT IN (SELECT dose_id FROM dose_events);
UPDATE dose_logs SET schedule_id = NULL WHERE ordinal > 0;
ALTER TABLE dose_logs ADD CONSTRAINT dose_logs_once_per_schedule_and_date UNIQUE (log_date, schedule_id)
"""
KEY = models.UniqueConstraint(
    fields=["log_date", "schedule", "ordinal"], name="dose_logs_once_per_schedule_date_and_ordinal"
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dosing", "0008_dose_constraints")]
    operations = [
        # An earlier try that was killed may have left the index behind, invalid.
        migrations.RunSQL(UNBUILD, migrations.RunSQL.noop),
        migrations.RunSQL(BUILD, migrations.RunSQL.noop),
        migrations.RunSQL(
            USE,
            BACK,
            state_operations=[
                migrations.RemoveConstraint("doselog", "dose_logs_once_per_schedule_and_date"),
                migrations.AddConstraint("doselog", KEY),
            ],
        ),
    ]
