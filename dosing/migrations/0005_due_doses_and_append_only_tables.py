"""Which doses count as due, for SQL, and one trigger function for all append-only tables.

`medtrack_refuse_change` keeps its exception: a transaction that erases a user may delete the user's dose events
(see 0002). It now also serves TRUNCATE, and tables without that exception.
"""

from importlib import import_module

from django.db import migrations

# `dosing.adherence` defines what is due; `DoseLog.objects.due()` says it for Django's queries. A test compares them.
IS_DUE = """
CREATE FUNCTION medtrack_is_due(d dose_logs, now timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN d.schedule_id IS NOT NULL AND (
    d.status IN ('taken', 'skipped', 'missed')
    OR d.status = 'pending' AND d.answer_by IS NOT NULL AND d.due_at <= now
);
"""
# The condition about dose_events is a statement of its own: other tables have no `dose_id`.
REFUSE = """
CREATE OR REPLACE FUNCTION medtrack_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'dose_events' THEN
        IF current_setting('medtrack.erasing', true) = (
            SELECT d.user_id || ' ' || pg_current_xact_id() FROM dose_logs d WHERE d.id = OLD.dose_id
        ) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE OR REPLACE TRIGGER dose_events_are_not_truncated BEFORE TRUNCATE ON dose_events
    FOR EACH STATEMENT EXECUTE FUNCTION medtrack_refuse_change();
DROP FUNCTION medtrack_refuse_truncate();
"""
BEFORE = import_module("dosing.migrations.0002_append_only_events").REFUSE.partition("CREATE TRIGGER")[0]
TRUNCATE_BEFORE = import_module("dosing.migrations.0003_no_truncate_of_events").REFUSE
REFUSE_AS_BEFORE = (
    TRUNCATE_BEFORE.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER")
    + BEFORE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
)


class Migration(migrations.Migration):
    dependencies = [("dosing", "0004_intake_indexes")]
    operations = [
        migrations.RunSQL(IS_DUE, "DROP FUNCTION medtrack_is_due(dose_logs, timestamptz);"),
        migrations.RunSQL(REFUSE, REFUSE_AS_BEFORE),
    ]
