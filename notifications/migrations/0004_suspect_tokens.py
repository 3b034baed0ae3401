"""Suspect tokens, what they are judged by, and how often a reminder outran its lease.

`engine_violations` does not expect a push to a token that was suspect at the time of the claim, nor to one that was
cleared since.
"""

from importlib import import_module

from django.db import migrations, models

BEFORE = import_module("notifications.migrations.0003_engine_violations").VIEW
GREATEST = "greatest(t.created_at, t.owned_since, t.last_seen_at)"
assert BEFORE.count(GREATEST) == 1
VIEW = BEFORE.replace(GREATEST, "greatest(t.created_at, t.owned_since, t.last_seen_at, t.probed_at)")


def replacing(view: str) -> str:
    return view.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_engine_violations")]
    operations = [
        migrations.CreateModel(
            name="FirebaseProject",
            fields=[
                ("id", models.CharField(max_length=200, primary_key=True, serialize=False, verbose_name="project id")),
                ("accepted_at", models.DateTimeField(verbose_name="accepted at")),
                ("accepted_user_id", models.UUIDField(verbose_name="accepted for")),
                ("another_accepted_at", models.DateTimeField(null=True, verbose_name="accepted for another person at")),
            ],
            options={
                "verbose_name": "Firebase project",
                "verbose_name_plural": "Firebase projects",
                "db_table": "firebase_projects",
                "default_permissions": (),
            },
        ),
        migrations.AddField(
            model_name="devicetoken",
            name="probed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="probed at"),
        ),
        migrations.AddField(
            model_name="devicetoken",
            name="suspect_since",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="suspect since"),
        ),
        migrations.AddField(
            model_name="notificationlog",
            name="outrun",
            field=models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name="leases outrun"),
        ),
        migrations.AddIndex(
            model_name="devicetoken",
            index=models.Index(
                condition=models.Q(revoked_at=None, suspect_since__isnull=False),
                fields=["suspect_since"],
                name="device_tokens_suspect",
            ),
        ),
        migrations.AddConstraint(
            model_name="devicetoken",
            constraint=models.CheckConstraint(
                condition=models.Q(suspect_since=None)
                | models.Q(probed_at__isnull=False, probed_at__gte=models.F("suspect_since")),
                name="device_tokens_suspect_were_probed",
            ),
        ),
        migrations.RunSQL(replacing(VIEW), replacing(BEFORE)),
    ]
