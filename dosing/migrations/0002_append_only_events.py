"""Dose events are history: PostgreSQL itself refuses to change or delete one.

The one exception is erasing a person: a transaction that names the person, and itself, in `medtrack.erasing` may
delete their events. A value that another transaction left behind opens nothing.
"""

from django.db import migrations

REFUSE = """
CREATE FUNCTION medtrack_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('medtrack.erasing', true) = (
        SELECT d.user_id || ' ' || pg_current_xact_id() FROM dose_logs d WHERE d.id = OLD.dose_id
    ) THEN
        RETURN OLD;
    END IF;
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
