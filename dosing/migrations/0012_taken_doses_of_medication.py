"""Limits count every taken dose of a medication: one index for that and for the foreign key, built beside writes."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dosing", "0011_withdrawn_doses_do_not_count")]
    operations = [
        AddIndexConcurrently(
            "doselog", models.Index(fields=["medication", "taken_at"], name="dose_logs_of_medication")
        ),
        RemoveIndexConcurrently("doselog", "dose_logs_intakes"),
        migrations.AlterField(
            "doselog",
            "medication",
            models.ForeignKey(
                db_index=False,
                on_delete=models.CASCADE,
                related_name="doses",
                to="medications.medication",
                verbose_name="medication",
            ),
        ),
    ]
