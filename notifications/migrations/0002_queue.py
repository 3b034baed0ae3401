"""What the reminder queue needs of PostgreSQL: UUIDv7 keys made in SQL, and room for updates on the page.

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
ROOM_FOR_UPDATES = "ALTER TABLE notification_logs SET (fillfactor = 70);"


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]
    operations = [
        migrations.RunSQL(UUID7, "DROP FUNCTION medtrack_uuid7();"),
        migrations.RunSQL(ROOM_FOR_UPDATES, "ALTER TABLE notification_logs RESET (fillfactor);"),
    ]
