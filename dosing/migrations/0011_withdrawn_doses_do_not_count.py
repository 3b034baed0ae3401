"""Doses that the plan no longer has do not count as due."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("dosing.migrations.0005_due_doses_and_append_only_tables").IS_DUE.replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
)
NOW = BEFORE.replace("d.schedule_id IS NOT NULL AND (", "d.schedule_id IS NOT NULL AND d.withdrawn_at IS NULL AND (")


class Migration(migrations.Migration):
    dependencies = [("dosing", "0010_dose_ids")]
    operations = [migrations.RunSQL(NOW, BEFORE)]
