"""Columns of doses that are known before they are written, follow edits and are counted by their ordinal."""

from importlib import import_module

from django.db import migrations, models

import users.models

# Pending doses without an answer window belonged to a medication or schedule that was paused or ended.
FILL = """
UPDATE dose_logs SET withdrawn_at = now()
WHERE schedule_id IS NOT NULL AND status = 'pending' AND answer_by IS NULL;
UPDATE dose_logs d SET skipped_at = (
    SELECT e.occurred_at FROM dose_events e WHERE e.dose_id = d.id AND e.action = 'skipped'
    ORDER BY e.recorded_at DESC LIMIT 1
) WHERE status = 'skipped';
UPDATE schedules SET rule_changed_at = updated_at WHERE version > 1;
"""
TO_PLAN = models.Index(
    fields=["planned_until"],
    condition=models.Q(planned_until__isnull=False, plan_error=""),
    name="schedules_to_plan",
)


# PostgreSQL 15 adds no column with a default to a table whose row type a function uses.
IS_DUE = import_module("dosing.migrations.0005_due_doses_and_append_only_tables").IS_DUE
MEDICATIONS = import_module("medications.migrations.0002_events_versions_and_pauses")
FUNCTIONS = IS_DUE + MEDICATIONS.MOOT_REASON
NO_FUNCTIONS = "DROP FUNCTION medtrack_is_due(dose_logs, timestamptz);" + MEDICATIONS.NO_MOOT_REASON


class Migration(migrations.Migration):
    dependencies = [
        ("dosing", "0006_payload_label"),
        ("medications", "0002_events_versions_and_pauses"),
        # Its view was made with the column's name of then.
        ("notifications", "0006_reachable_devices_and_moot_reasons"),
    ]
    operations = [
        migrations.RunSQL(NO_FUNCTIONS, FUNCTIONS),
        # PostgreSQL renames the column in the index, too.
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveIndex("schedule", "schedules_to_plan")]
        ),
        migrations.RenameField("schedule", "next_due_at", "planned_until"),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.AddIndex("schedule", TO_PLAN)]),
        migrations.AlterField(
            "schedule",
            "planned_until",
            models.DateTimeField(blank=True, editable=False, null=True, verbose_name="planned until"),
        ),
        migrations.AddField(
            "doselog",
            "ordinal",
            models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name="number on the date"),
        ),
        migrations.AddField(
            "doselog",
            "reopened_until",
            models.DateTimeField(blank=True, null=True, verbose_name="reopened until"),
        ),
        migrations.AddField(
            "doselog", "skipped_at", models.DateTimeField(blank=True, null=True, verbose_name="skipped at")
        ),
        migrations.AddField(
            "doselog",
            "withdrawn_at",
            models.DateTimeField(blank=True, null=True, verbose_name="withdrawn at"),
        ),
        migrations.AddField(
            "schedule",
            "rule_changed_at",
            models.DateTimeField(blank=True, editable=False, null=True, verbose_name="rule changed at"),
        ),
        migrations.AddField(
            "schedule",
            "timezone",
            models.CharField(
                blank=True,
                max_length=64,
                null=True,
                validators=[users.models.validate_zone],
                verbose_name="time zone",
            ),
        ),
        migrations.AddField(
            "schedule",
            "travel",
            models.JSONField(
                blank=True, editable=False, null=True, verbose_name="since the time zone changed"
            ),
        ),
        migrations.AlterField(
            "schedule", "scheduled_time", models.TimeField(blank=True, null=True, verbose_name="time")
        ),
        migrations.AlterField(
            "schedule",
            "version",
            models.PositiveIntegerField(db_default=1, default=1, editable=False, verbose_name="version"),
        ),
        migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
