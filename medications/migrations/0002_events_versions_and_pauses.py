"""What changed in medications, when and by whom; pauses that end; versions."""

from importlib import import_module

import django.db.models.deletion
import django.db.models.functions.datetime
import medtrack.database.ids
from django.conf import settings
from django.db import migrations, models


# PostgreSQL 15 adds no column with a default to a table whose row type a function uses.
MOOT_REASON = import_module("notifications.migrations.0006_reachable_devices_and_moot_reasons").MOOT_REASON
MOOT_REASON = MOOT_REASON.partition("-- How many leases")[0]
NO_MOOT_REASON = """
DROP FUNCTION medtrack_moot_reason(notification_logs, users, dose_logs, medications, schedules, timestamptz);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('medications', '0001_initial'),
        ("notifications", "0006_reachable_devices_and_moot_reasons"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(NO_MOOT_REASON, MOOT_REASON),
        migrations.CreateModel(
            name='MedicationEvent',
            fields=[
                ('id', models.UUIDField(default=medtrack.database.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('schedule_id', models.UUIDField(blank=True, null=True, verbose_name='schedule')),
                ('action', models.CharField(choices=[('created', 'created'), ('changed', 'changed'), ('paused', 'paused'), ('resumed', 'resumed'), ('archived', 'archived'), ('restored', 'restored'), ('deleted', 'deleted'), ('schedule_created', 'schedule created'), ('schedule_changed', 'schedule changed'), ('schedule_deleted', 'schedule deleted'), ('travelled', 'time zone changed')], max_length=16, verbose_name='action')),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='recorded at')),
                ('changes', models.JSONField(blank=True, default=dict, verbose_name='changes')),
                ('description', models.JSONField(blank=True, null=True, verbose_name='description before')),
            ],
            options={
                'verbose_name': 'change of a medication',
                'verbose_name_plural': 'changes of medications',
                'db_table': 'medication_events',
            },
        ),
        migrations.AddField(
            model_name='medication',
            name='described_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='described at'),
        ),
        migrations.AddField(
            model_name='medication',
            name='paused_until',
            field=models.DateTimeField(blank=True, null=True, verbose_name='paused until'),
        ),
        migrations.AddField(
            model_name='medication',
            name='version',
            field=models.PositiveIntegerField(db_default=1, default=1, editable=False, verbose_name='version'),
        ),
        migrations.AddConstraint(
            model_name='medication',
            constraint=models.CheckConstraint(condition=models.Q(('paused_until', None), ('paused_until__gt', models.F('paused_at')), _connector='OR'), name='medications_pauses_end_after_they_begin'),
        ),
        migrations.AddField(
            model_name='medicationevent',
            name='medication',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='medications.medication', verbose_name='medication'),
        ),
        migrations.AddField(
            model_name='medicationevent',
            name='recorded_by',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='recorded by'),
        ),
        migrations.AddIndex(
            model_name='medicationevent',
            index=models.Index(fields=['medication', 'recorded_at'], name='medication_events_by_time'),
        ),
        migrations.AddIndex(
            model_name='medicationevent',
            index=models.Index(condition=models.Q(('description__isnull', False)), fields=['medication', 'recorded_at'], name='medication_events_described'),
        ),
        migrations.AddConstraint(
            model_name='medicationevent',
            constraint=models.CheckConstraint(condition=models.Q(('action__in', ['created', 'changed', 'paused', 'resumed', 'archived', 'restored', 'deleted', 'schedule_created', 'schedule_changed', 'schedule_deleted', 'travelled'])), name='medication_events_action_is_known'),
        ),
        migrations.RunSQL(MOOT_REASON, NO_MOOT_REASON),
    ]
