"""TRUNCATE fires no row trigger: without this one it would delete the access log at once. See dosing/0003."""

from django.db import migrations

REFUSE = """
CREATE TRIGGER access_log_is_not_truncated BEFORE TRUNCATE ON access_log
    FOR EACH STATEMENT EXECUTE FUNCTION medtrack_refuse_any_change();
"""
ALLOW = "DROP TRIGGER access_log_is_not_truncated ON access_log;"


class Migration(migrations.Migration):
    dependencies = [("console", "0003_roles")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
