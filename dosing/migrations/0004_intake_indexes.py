"""Built beside the writes that go on: doses are the largest table."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

INTAKES = models.Q(("schedule", None), ("status", "taken"))


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dosing", "0003_no_truncate_of_events")]
    operations = [
        AddIndexConcurrently(
            "doselog",
            models.Index(fields=["medication", "taken_at"], condition=INTAKES, name="dose_logs_intakes"),
        ),
        AddIndexConcurrently(
            "doselog",
            models.Index(fields=["user", "log_date"], condition=INTAKES, name="dose_logs_intakes_of_day"),
        ),
    ]
