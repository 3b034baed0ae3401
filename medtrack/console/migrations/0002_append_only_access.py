"""Who looked at whose data is history: PostgreSQL itself refuses to change or delete a row of it."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION medtrack_refuse_any_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER access_log_are_append_only BEFORE UPDATE OR DELETE ON access_log
    FOR EACH ROW EXECUTE FUNCTION medtrack_refuse_any_change();
"""
ALLOW = """
DROP TRIGGER access_log_are_append_only ON access_log;
DROP FUNCTION medtrack_refuse_any_change();
"""


class Migration(migrations.Migration):
    dependencies = [("console", "0001_initial")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
