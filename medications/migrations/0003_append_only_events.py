"""Changes of medications are history: PostgreSQL refuses to change or delete one, except while its user is erased."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("dosing.migrations.0005_due_doses_and_append_only_tables").REFUSE
FUNCTION = BEFORE.partition("CREATE OR REPLACE TRIGGER")[0]
EXCEPTION = """
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'medication_events' THEN
        IF current_setting('medtrack.erasing', true) = (
            SELECT m.user_id || ' ' || pg_current_xact_id() FROM medications m WHERE m.id = OLD.medication_id
        ) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION"""
REFUSE = FUNCTION.replace("\n    RAISE EXCEPTION", EXCEPTION) + """
CREATE TRIGGER medication_events_are_append_only BEFORE UPDATE OR DELETE ON medication_events
    FOR EACH ROW EXECUTE FUNCTION medtrack_refuse_change();
CREATE TRIGGER medication_events_are_not_truncated BEFORE TRUNCATE ON medication_events
    FOR EACH STATEMENT EXECUTE FUNCTION medtrack_refuse_change();
"""
ALLOW = FUNCTION + """
DROP TRIGGER medication_events_are_append_only ON medication_events;
DROP TRIGGER medication_events_are_not_truncated ON medication_events;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("medications", "0002_events_versions_and_pauses"),
        ("dosing", "0005_due_doses_and_append_only_tables"),
    ]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
