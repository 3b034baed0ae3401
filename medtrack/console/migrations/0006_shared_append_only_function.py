"""The access log is append-only by the same trigger function as the dose events."""

from importlib import import_module

from django.db import migrations

SHARED = """
CREATE OR REPLACE TRIGGER access_log_are_append_only BEFORE UPDATE OR DELETE ON access_log
    FOR EACH ROW EXECUTE FUNCTION medtrack_refuse_change();
CREATE OR REPLACE TRIGGER access_log_is_not_truncated BEFORE TRUNCATE ON access_log
    FOR EACH STATEMENT EXECUTE FUNCTION medtrack_refuse_change();
DROP FUNCTION medtrack_refuse_any_change();
"""
ROWS = import_module("medtrack.console.migrations.0002_append_only_access").REFUSE
TRUNCATE = import_module("medtrack.console.migrations.0004_no_truncate_of_access").REFUSE
BEFORE = (ROWS + TRUNCATE).replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER")


class Migration(migrations.Migration):
    dependencies = [("console", "0005_invitations"), ("dosing", "0005_due_doses_and_append_only_tables")]
    operations = [migrations.RunSQL(SHARED, BEFORE)]
