
import django.db.models.deletion
import django.db.models.functions.datetime
import medtrack.common.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('medications', '0001_initial'),
        ('users', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Schedule',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('scheduled_time', models.TimeField(verbose_name='time')),
                ('cycle_type', models.CharField(choices=[('daily', 'every day'), ('weekly', 'on weekdays'), ('interval', 'every n days'), ('on_off', 'days on, days off'), ('monthly', 'on days of the month'), ('dates', 'on dates'), ('taper', 'tapered'), ('as_needed', 'as needed')], default='daily', max_length=16, verbose_name='cycle')),
                ('cycle_value', models.JSONField(blank=True, null=True, verbose_name='cycle value')),
                ('quantity', models.DecimalField(decimal_places=3, default=1, max_digits=9, verbose_name='quantity')),
                ('meal_relation', models.CharField(choices=[('any', 'at any time'), ('before', 'before a meal'), ('with', 'with a meal'), ('after', 'after a meal')], default='any', max_length=8, verbose_name='meal relation')),
                ('start_date', models.DateField(verbose_name='start')),
                ('end_date', models.DateField(blank=True, null=True, verbose_name='end')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('reminder_enabled', models.BooleanField(default=True, verbose_name='reminders')),
                ('next_due_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='next due')),
                ('plan_error', models.CharField(blank=True, editable=False, max_length=200, verbose_name='why it cannot be planned')),
                ('version', models.PositiveIntegerField(default=1, editable=False, verbose_name='version')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
                ('deleted_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='deleted at')),
                ('medication', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='schedules', to='medications.medication', verbose_name='medication')),
            ],
            options={
                'verbose_name': 'schedule',
                'verbose_name_plural': 'schedules',
                'db_table': 'schedules',
            },
        ),
        migrations.CreateModel(
            name='DoseLog',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('log_date', models.DateField(verbose_name='date')),
                ('scheduled_time', models.TimeField(blank=True, null=True, verbose_name='time')),
                ('due_at', models.DateTimeField(blank=True, null=True, verbose_name='due at')),
                ('answer_by', models.DateTimeField(blank=True, null=True, verbose_name='answer by')),
                ('quantity', models.DecimalField(decimal_places=3, max_digits=9, verbose_name='quantity')),
                ('taken_quantity', models.DecimalField(blank=True, decimal_places=3, max_digits=9, null=True, verbose_name='taken quantity')),
                ('status', models.CharField(choices=[('pending', 'pending'), ('taken', 'taken'), ('skipped', 'skipped'), ('missed', 'missed')], default='pending', max_length=8, verbose_name='status')),
                ('taken_at', models.DateTimeField(blank=True, null=True, verbose_name='taken at')),
                ('snoozed_until', models.DateTimeField(blank=True, null=True, verbose_name='snoozed until')),
                ('skip_reason', models.CharField(blank=True, db_default='', max_length=200, verbose_name='skip reason')),
                ('note', models.CharField(blank=True, db_default='', max_length=500, verbose_name='note')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created at')),
                ('medication', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='doses', to='medications.medication', verbose_name='medication')),
                ('recorded_by', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='recorded by')),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='doses', to=settings.AUTH_USER_MODEL, verbose_name='person')),
                ('schedule', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='doses', to='dosing.schedule', verbose_name='schedule')),
            ],
            options={
                'verbose_name': 'dose',
                'verbose_name_plural': 'doses',
                'db_table': 'dose_logs',
            },
        ),
        migrations.CreateModel(
            name='DoseEvent',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('action', models.CharField(choices=[('taken', 'taken'), ('skipped', 'skipped'), ('reopened', 'reopened'), ('snoozed', 'snoozed'), ('amended', 'amended')], max_length=8, verbose_name='action')),
                ('occurred_at', models.DateTimeField(verbose_name='occurred at')),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='recorded at')),
                ('payload', models.JSONField(default=dict, verbose_name='what was said')),
                ('recorded_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='recorded by')),
                ('session', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='users.session', verbose_name='session')),
                ('dose', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='events', to='dosing.doselog', verbose_name='dose')),
            ],
            options={
                'verbose_name': 'dose event',
                'verbose_name_plural': 'dose events',
                'db_table': 'dose_events',
                'indexes': [models.Index(fields=['recorded_at'], name='dose_events_by_time')],
                'constraints': [models.CheckConstraint(condition=models.Q(('action__in', ['taken', 'skipped', 'reopened', 'snoozed', 'amended'])), name='dose_events_action_is_known')],
            },
        ),
        migrations.AddIndex(
            model_name='schedule',
            index=models.Index(condition=models.Q(('next_due_at__isnull', False), ('plan_error', '')), fields=['next_due_at'], name='schedules_to_plan'),
        ),
        migrations.AddConstraint(
            model_name='schedule',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='schedules_quantity_is_positive'),
        ),
        migrations.AddConstraint(
            model_name='schedule',
            constraint=models.CheckConstraint(condition=models.Q(('end_date', None), ('end_date__gte', models.F('start_date')), _connector='OR'), name='schedules_end_on_or_after_their_start'),
        ),
        migrations.AddConstraint(
            model_name='schedule',
            constraint=models.CheckConstraint(condition=models.Q(('deleted_at', None), ('is_active', False), _connector='OR'), name='schedules_deleted_are_inactive'),
        ),
        migrations.AddIndex(
            model_name='doselog',
            index=models.Index(models.F('user'), models.OrderBy(models.F('log_date'), descending=True), name='dose_logs_of_user_by_date'),
        ),
        migrations.AddIndex(
            model_name='doselog',
            index=models.Index(condition=models.Q(('status', 'pending')), fields=['due_at'], name='dose_logs_pending_by_due'),
        ),
        migrations.AddIndex(
            model_name='doselog',
            index=models.Index(condition=models.Q(('status', 'pending')), fields=['answer_by'], name='dose_logs_pending_by_window'),
        ),
        migrations.AddIndex(
            model_name='doselog',
            index=models.Index(condition=models.Q(('snoozed_until__isnull', False)), fields=['snoozed_until'], name='dose_logs_snoozed'),
        ),
        migrations.AddConstraint(
            model_name='doselog',
            constraint=models.UniqueConstraint(fields=('log_date', 'schedule'), name='dose_logs_once_per_schedule_and_date'),
        ),
        migrations.AddConstraint(
            model_name='doselog',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'taken', 'skipped', 'missed'])), name='dose_logs_status_is_known'),
        ),
        migrations.AddConstraint(
            model_name='doselog',
            constraint=models.CheckConstraint(condition=models.Q(('schedule', None), models.Q(('due_at__isnull', False), ('scheduled_time__isnull', False)), _connector='OR'), name='dose_logs_planned_are_due'),
        ),
        migrations.AddConstraint(
            model_name='doselog',
            constraint=models.CheckConstraint(condition=models.Q(('answer_by', None), ('answer_by__gt', models.F('due_at')), _connector='OR'), name='dose_logs_are_due_before_their_window_ends'),
        ),
        migrations.AddConstraint(
            model_name='doselog',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'taken'), ('taken_at__isnull', False)), models.Q(models.Q(('status', 'taken'), _negated=True), ('taken_at', None)), _connector='OR'), name='dose_logs_taken_have_their_time'),
        ),
        migrations.AddConstraint(
            model_name='doselog',
            constraint=models.CheckConstraint(condition=models.Q(('snoozed_until', None), ('status', 'pending'), _connector='OR'), name='dose_logs_snoozed_are_pending'),
        ),
        migrations.AddConstraint(
            model_name='doselog',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'missed']), ('recorded_by__isnull', False), _connector='OR'), name='dose_logs_answered_have_a_recorder'),
        ),
        migrations.AddConstraint(
            model_name='doselog',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='dose_logs_quantity_is_positive'),
        ),
        migrations.AddConstraint(
            model_name='doselog',
            constraint=models.CheckConstraint(condition=models.Q(('taken_quantity', None), models.Q(('status', 'taken'), ('taken_quantity__gt', 0)), _connector='OR'), name='dose_logs_taken_quantity_is_of_taken_doses'),
        ),
        migrations.AddIndex(
            model_name='schedule',
            index=models.Index(condition=models.Q(('plan_error', ''), _negated=True), fields=['id'], name='schedules_set_aside'),
        ),
    ]
