
import django.db.models.deletion
import django.db.models.functions.datetime
import medtrack.common.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('users', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Patient',
            fields=[
            ],
            options={
                'verbose_name': 'patient',
                'verbose_name_plural': 'patients',
                'permissions': [('read_notes', 'Read what people wrote: notes, memos and reasons'), ('export_patients', 'Export lists'), ('send_test_push', 'Send a test push'), ('revoke_device', "Revoke a device's token"), ('end_sessions', "End somebody's sessions"), ('replan', "Plan somebody's doses anew"), ('deactivate', 'Deactivate an account')],
                'proxy': True,
                'default_permissions': ('view',),
                'indexes': [],
                'constraints': [],
            },
            bases=('users.user',),
        ),
        migrations.CreateModel(
            name='PatientSummary',
            fields=[
                ('patient', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='summary', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('adherence_7', models.FloatField(null=True, verbose_name='adherence, 7 days')),
                ('adherence_30', models.FloatField(null=True, verbose_name='adherence, 30 days')),
                ('adherence_before', models.FloatField(null=True)),
                ('last_answer_at', models.DateTimeField(null=True, verbose_name='last answer')),
                ('device_count', models.PositiveIntegerField(default=0, verbose_name='devices')),
                ('silent_device_count', models.PositiveIntegerField(default=0)),
                ('failed_push_count', models.PositiveIntegerField(default=0)),
                ('refreshed_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'db_table': 'patient_summaries',
                'default_permissions': (),
                'indexes': [models.Index(fields=['adherence_30', 'patient'], name='patient_summaries_by_adherence'), models.Index(fields=['last_answer_at', 'patient'], name='patient_summaries_by_answer')],
            },
        ),
        migrations.CreateModel(
            name='AccessLog',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='at')),
                ('patient_id', models.UUIDField(blank=True, null=True, verbose_name='patient')),
                ('action', models.CharField(choices=[('view', 'looked at'), ('list', 'listed'), ('search', 'searched'), ('export', 'exported'), ('act', 'acted')], max_length=8, verbose_name='action')),
                ('page', models.CharField(max_length=100, verbose_name='page')),
                ('object_id', models.CharField(blank=True, db_default='', max_length=100, verbose_name='object')),
                ('details', models.JSONField(blank=True, default=dict, verbose_name='details')),
                ('address', models.CharField(blank=True, max_length=50, verbose_name='address')),
                ('staff', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='staff')),
            ],
            options={
                'verbose_name': 'access',
                'verbose_name_plural': 'access log',
                'db_table': 'access_log',
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['patient_id', 'id'], name='access_log_of_patient'), models.Index(fields=['staff', 'id'], name='access_log_of_staff')],
            },
        ),
    ]
