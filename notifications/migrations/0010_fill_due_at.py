"""Fills `due_at` of the reminders there are, in short transactions, the latest first: those may be in the queue.

The reminder of a dose that is gone has none.
"""

from django.db import migrations

FILL = """
WITH batch AS MATERIALIZED (
    SELECT id, dose_id FROM notification_logs WHERE id < %s ORDER BY id DESC LIMIT 10000
), filled AS (
    UPDATE notification_logs n SET due_at = d.due_at
    FROM batch b JOIN dose_logs d ON d.id = b.dose_id
    WHERE n.id = b.id AND n.due_at IS NULL
)
SELECT min(id::text) FROM batch
"""
AFTER_ALL = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def fill(apps, schema_editor):
    before = AFTER_ALL
    with schema_editor.connection.cursor() as cursor:
        while before:
            cursor.execute(FILL, [before])
            (before,) = cursor.fetchone()


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("notifications", "0009_unique_by_due_at"), ("dosing", "0011_withdrawn_doses_do_not_count")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
