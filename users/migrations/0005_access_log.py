"""The access log's model moves from `console` to `users`; its table stays as it is.

console.0007_access_log_to_users takes the model out of that app's state before this migration adds it here.
"""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import medtrack.database.ids


class Migration(migrations.Migration):
    dependencies = [("users", "0004_living_sessions_and_patients")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.CreateModel(
                    name="AccessLog",
                    fields=[
                        (
                            "id",
                            models.UUIDField(
                                default=medtrack.database.ids.uuid7,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        (
                            "at",
                            models.DateTimeField(
                                db_default=django.db.models.functions.datetime.Now(),
                                editable=False,
                                verbose_name="at",
                            ),
                        ),
                        ("patient_id", models.UUIDField(blank=True, null=True, verbose_name="patient")),
                        (
                            "action",
                            models.CharField(
                                choices=[
                                    ("view", "looked at"),
                                    ("list", "listed"),
                                    ("search", "searched"),
                                    ("export", "exported"),
                                    ("act", "acted"),
                                ],
                                max_length=8,
                                verbose_name="action",
                            ),
                        ),
                        ("page", models.CharField(max_length=100, verbose_name="page")),
                        (
                            "object_id",
                            models.CharField(
                                blank=True, db_default="", max_length=100, verbose_name="object"
                            ),
                        ),
                        ("details", models.JSONField(blank=True, default=dict, verbose_name="details")),
                        ("address", models.CharField(blank=True, max_length=50, verbose_name="address")),
                        (
                            "staff",
                            models.ForeignKey(
                                db_constraint=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                                verbose_name="staff",
                            ),
                        ),
                    ],
                    options={
                        "verbose_name": "access",
                        "verbose_name_plural": "access log",
                        "db_table": "access_log",
                        "default_permissions": ("view",),
                        "indexes": [
                            models.Index(fields=["patient_id", "id"], name="access_log_of_patient"),
                            models.Index(fields=["staff", "id"], name="access_log_of_staff"),
                        ],
                    },
                ),
            ],
        ),
    ]
