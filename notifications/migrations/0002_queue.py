"""What the queue needs of PostgreSQL: UUIDv7 keys made in SQL, room for updates on the page, states that are final.

PostgreSQL has its own `uuidv7()` only from version 18; this one works from 14 on.
"""

from django.db import migrations

UUID7 = """
CREATE FUNCTION medtrack_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;
"""
# The condition is the trigger's own, so that the function runs for none of the usual updates.
FINAL = """
CREATE FUNCTION medtrack_refuse_to_reopen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% % is final', TG_TABLE_NAME, OLD.id USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER notification_logs_final_states_stay BEFORE UPDATE ON notification_logs FOR EACH ROW
    WHEN (OLD.status <> 'queued' AND NEW.status <> OLD.status)
    EXECUTE FUNCTION medtrack_refuse_to_reopen();
CREATE TRIGGER push_deliveries_final_states_stay BEFORE UPDATE ON push_deliveries FOR EACH ROW
    WHEN (OLD.outcome <> 'retry' AND NEW.outcome <> OLD.outcome)
    EXECUTE FUNCTION medtrack_refuse_to_reopen();
"""
NOT_FINAL = """
DROP TRIGGER notification_logs_final_states_stay ON notification_logs;
DROP TRIGGER push_deliveries_final_states_stay ON push_deliveries;
DROP FUNCTION medtrack_refuse_to_reopen();
"""
ROOM_FOR_UPDATES = "ALTER TABLE notification_logs SET (fillfactor = 70);"


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]
    operations = [
        migrations.RunSQL(UUID7, "DROP FUNCTION medtrack_uuid7();"),
        migrations.RunSQL(FINAL, NOT_FINAL),
        migrations.RunSQL(ROOM_FOR_UPDATES, "ALTER TABLE notification_logs RESET (fillfactor);"),
    ]
