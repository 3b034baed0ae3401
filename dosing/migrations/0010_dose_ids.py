"""Ids of planned doses in SQL, and new ids for the doses that are only planned.

`dosing.dose_ids` says the same in Python; a test compares them. A dose that was answered, or whose reminder is
in the queue, keeps its id.
"""

from django.db import migrations

DOSE_ID = """
CREATE FUNCTION medtrack_dose_id(schedule_id uuid, log_date date, ordinal integer) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT (
        right(repeat('0', 12) || to_hex((extract(epoch FROM log_date::timestamp) * 1000)::bigint), 12)
        || '8' || substr(digits, 2, 3)
        || substr('89ab', (('x' || substr(digits, 5, 1))::bit(4)::integer & 3) + 1, 1) || substr(digits, 6, 15)
    )::uuid
    FROM encode(sha256(
        uuid_send(schedule_id) || convert_to(to_char(log_date, 'YYYY-MM-DD'), 'UTF8')
        || set_byte('\\x00'::bytea, 0, ordinal)
    ), 'hex') AS hashed (digits)
);
"""
NO_DOSE_ID = "DROP FUNCTION medtrack_dose_id(uuid, date, integer);"
RENAME = """
UPDATE dose_logs d SET id = medtrack_dose_id(d.schedule_id, d.log_date, d.ordinal)
WHERE d.status = 'pending' AND d.schedule_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM dose_events e WHERE e.dose_id = d.id)
  AND NOT EXISTS (SELECT FROM notification_logs n WHERE n.dose_id = d.id);
"""


class Migration(migrations.Migration):
    dependencies = [("dosing", "0009_unique_by_ordinal"), ("notifications", "0006_reachable_devices_and_moot_reasons")]
    operations = [
        migrations.RunSQL(DOSE_ID, NO_DOSE_ID),
        migrations.RunSQL(RENAME, migrations.RunSQL.noop),
    ]
