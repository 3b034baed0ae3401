"""`engine_violations` with the present name of the doses' key."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("notifications.migrations.0003_engine_violations").VIEW
# The column had its present name before this migration.
BEFORE = BEFORE.replace("s.next_due_at", "s.planned_until").replace("CREATE VIEW", "CREATE OR REPLACE VIEW")
NOW = BEFORE.replace("dose_logs_once_per_schedule_and_date", "dose_logs_once_per_schedule_date_and_ordinal")


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0006_reachable_devices_and_moot_reasons"),
        ("dosing", "0011_withdrawn_doses_do_not_count"),
    ]
    operations = [
        migrations.RunSQL(NOW, BEFORE),
    ]
