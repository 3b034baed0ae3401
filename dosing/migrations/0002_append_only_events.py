"""Dose events are history: PostgreSQL itself refuses to change or delete one."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION medtrack_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER dose_events_are_append_only BEFORE UPDATE OR DELETE ON dose_events
    FOR EACH ROW EXECUTE FUNCTION medtrack_refuse_change();
"""
ALLOW = """
DROP TRIGGER dose_events_are_append_only ON dose_events;
DROP FUNCTION medtrack_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("dosing", "0001_initial")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
