"""The event `also_reported`, whose name is longer than those before.

PostgreSQL does not widen a column that a view reads, so the view is made anew with the definition that it has.
"""

from django.db import migrations, models
from django.db.models import Q

WIDEN = """
DO $$
DECLARE
    definition text := pg_get_viewdef(to_regclass('engine_violations'));
BEGIN
    DROP VIEW IF EXISTS engine_violations;
    ALTER TABLE dose_events ALTER COLUMN action TYPE varchar(16);
    IF definition IS NOT NULL THEN
        EXECUTE 'CREATE VIEW engine_violations AS ' || definition;
    END IF;
END
$$
"""
ACTIONS = {
    "taken": "taken",
    "skipped": "skipped",
    "reopened": "reopened",
    "snoozed": "snoozed",
    "amended": "amended",
    "also_reported": "also reported",
}


class Migration(migrations.Migration):
    dependencies = [("dosing", "0012_taken_doses_of_medication")]
    operations = [
        migrations.RunSQL(
            WIDEN,
            migrations.RunSQL.noop,
            state_operations=[
                migrations.AlterField(
                    "doseevent",
                    "action",
                    models.CharField(choices=list(ACTIONS.items()), max_length=16, verbose_name="action"),
                )
            ],
        ),
        migrations.RemoveConstraint("doseevent", "dose_events_action_is_known"),
        migrations.AddConstraint(
            "doseevent",
            models.CheckConstraint(
                condition=Q(action__in=list(ACTIONS)), name="dose_events_action_is_known"
            ),
        ),
    ]
