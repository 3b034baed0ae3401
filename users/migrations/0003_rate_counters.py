import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import medtrack.common.ids


class Migration(migrations.Migration):
    dependencies = [("users", "0002_canonical_emails")]
    operations = [
        migrations.CreateModel(
            name="RateCounter",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=32)),
                ("began_at", models.DateTimeField()),
                ("times", models.PositiveIntegerField()),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "rate_counters",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("user", "name"), name="rate_counters_are_unique_by_person_and_name"
                    )
                ],
            },
        ),
    ]
