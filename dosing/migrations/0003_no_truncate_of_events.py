"""TRUNCATE fires no row trigger: without this one it would delete all dose events at once.

It is refused to the owner of the table too. Whoever may disable triggers, as by `session_replication_role`, can still
do it on purpose.
"""

from django.db import migrations

REFUSE = """
CREATE FUNCTION medtrack_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER dose_events_are_not_truncated BEFORE TRUNCATE ON dose_events
    FOR EACH STATEMENT EXECUTE FUNCTION medtrack_refuse_truncate();
"""
ALLOW = """
DROP TRIGGER dose_events_are_not_truncated ON dose_events;
DROP FUNCTION medtrack_refuse_truncate();
"""


class Migration(migrations.Migration):
    dependencies = [("dosing", "0002_append_only_events")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
