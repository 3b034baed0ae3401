from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notifications", "0004_suspect_tokens")]

    operations = [
        migrations.CreateModel(
            name="EngineCounter",
            fields=[
                ("name", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("value", models.FloatField(default=0)),
            ],
            options={"db_table": "engine_counters", "default_permissions": ()},
        ),
        migrations.CreateModel(
            name="TaskRun",
            fields=[
                (
                    "task",
                    models.CharField(max_length=100, primary_key=True, serialize=False, verbose_name="task"),
                ),
                (
                    "finished_at",
                    models.DateTimeField(blank=True, editable=False, null=True, verbose_name="finished at"),
                ),
                ("seconds", models.FloatField(blank=True, editable=False, null=True, verbose_name="seconds")),
                (
                    "failed_at",
                    models.DateTimeField(blank=True, editable=False, null=True, verbose_name="failed at"),
                ),
                (
                    "error",
                    models.CharField(
                        blank=True, db_default="", editable=False, max_length=100, verbose_name="error"
                    ),
                ),
            ],
            options={
                "verbose_name": "task run",
                "verbose_name_plural": "task runs",
                "db_table": "task_runs",
                "default_permissions": (),
            },
        ),
    ]
