"""An answered dose shows its medication as it was described when the dose was taken, skipped or due.

`medtrack_answered_at` is that instant; null for a pending dose. `medtrack_description_at` is null where the
medication's present columns were already true. Both are inlined, so that most rows cost only a comparison;
`medtrack_find_description`, which reads, is called for the others alone.
"""

from django.db import migrations

FUNCTIONS = """
CREATE FUNCTION medtrack_answered_at(status text, taken_at timestamptz, skipped_at timestamptz, due_at timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(taken_at, skipped_at, CASE WHEN status = 'missed' THEN due_at END);

CREATE FUNCTION medtrack_find_description(medication uuid, at timestamptz)
RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
    SELECT e.description FROM medication_events e
    WHERE e.medication_id = medication AND e.recorded_at > at AND e.description IS NOT NULL
    ORDER BY e.recorded_at LIMIT 1
);

CREATE FUNCTION medtrack_description_at(medication uuid, described_at timestamptz, at timestamptz)
RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN described_at > at THEN medtrack_find_description(medication, at) END;
"""
REVERSE = """
DROP FUNCTION medtrack_description_at(uuid, timestamptz, timestamptz);
DROP FUNCTION medtrack_find_description(uuid, timestamptz);
DROP FUNCTION medtrack_answered_at(text, timestamptz, timestamptz, timestamptz);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("dosing", "0013_also_reported"),
        ("medications", "0003_append_only_events"),
    ]
    operations = [migrations.RunSQL(FUNCTIONS, REVERSE)]
