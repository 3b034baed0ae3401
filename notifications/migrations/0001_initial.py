
import django.db.models.deletion
import django.db.models.functions.datetime
import medtrack.common.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('dosing', '0001_initial'),
        ('users', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='DeviceToken',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('token', models.CharField(max_length=2048, unique=True, verbose_name='token')),
                ('platform', models.CharField(choices=[('android', 'Android'), ('ios', 'iOS'), ('web', 'Web')], max_length=8, verbose_name='platform')),
                ('device_id', models.CharField(blank=True, max_length=200, verbose_name='device id')),
                ('app_version', models.CharField(blank=True, max_length=50, verbose_name='app version')),
                ('language', models.CharField(blank=True, max_length=8, verbose_name='language')),
                ('owned_since', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='owned since')),
                ('last_seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='last seen at')),
                ('silent_since', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='silent since')),
                ('revoked_at', models.DateTimeField(blank=True, null=True, verbose_name='revoked at')),
                ('revoke_reason', models.CharField(blank=True, db_default='', max_length=64, verbose_name='revoke reason')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created at')),
                ('session', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='devices', to='users.session', verbose_name='session')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='devices', to=settings.AUTH_USER_MODEL, verbose_name='person')),
            ],
            options={
                'verbose_name': 'device',
                'verbose_name_plural': 'devices',
                'db_table': 'device_tokens',
            },
        ),
        migrations.CreateModel(
            name='NotificationLog',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('due', 'due'), ('follow_up', 'follow-up'), ('snoozed', 'snooze ended'), ('withdraw', 'withdrawal'), ('test', 'test')], max_length=16, verbose_name='kind')),
                ('step', models.PositiveSmallIntegerField(default=0, verbose_name='step')),
                ('tag', models.UUIDField(verbose_name='push tag')),
                ('send_at', models.DateTimeField(verbose_name='send at')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
                ('status', models.CharField(choices=[('queued', 'queued'), ('accepted', 'accepted'), ('moot', 'moot'), ('dead', 'dead')], default='queued', max_length=8, verbose_name='status')),
                ('reason', models.CharField(blank=True, db_default='', max_length=64, verbose_name='reason')),
                ('snooze_count', models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name='snoozes')),
                ('attempts', models.PositiveSmallIntegerField(db_default=0, default=0, verbose_name='attempts')),
                ('retry_at', models.DateTimeField(blank=True, null=True, verbose_name='try again at')),
                ('lease_token', models.UUIDField(blank=True, null=True, verbose_name='lease')),
                ('lease_until', models.DateTimeField(blank=True, null=True, verbose_name='lease until')),
                ('claimed_at', models.DateTimeField(blank=True, null=True, verbose_name='claimed at')),
                ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='sent at')),
                ('read_at', models.DateTimeField(blank=True, null=True, verbose_name='read at')),
                ('closed_at', models.DateTimeField(blank=True, null=True, verbose_name='closed at')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created at')),
                ('device', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='notifications.devicetoken', verbose_name='device')),
                ('dose', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='notifications', to='dosing.doselog', verbose_name='dose')),
                ('schedule', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='dosing.schedule', verbose_name='schedule')),
                ('user', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to=settings.AUTH_USER_MODEL, verbose_name='person')),
            ],
            options={
                'verbose_name': 'reminder',
                'verbose_name_plural': 'reminders',
                'db_table': 'notification_logs',
            },
        ),
        migrations.CreateModel(
            name='PushDelivery',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('outcome', models.CharField(choices=[('accepted', 'accepted'), ('retry', 'to be sent again'), ('dead', 'dead')], max_length=8, verbose_name='outcome')),
                ('message_id', models.CharField(blank=True, db_default='', max_length=200, verbose_name='FCM message id')),
                ('error_code', models.CharField(blank=True, db_default='', max_length=64, verbose_name='error code')),
                ('attempts', models.PositiveSmallIntegerField(db_default=1, default=1, verbose_name='attempts')),
                ('earlier', models.JSONField(db_default=models.Value([], models.JSONField()), default=list, verbose_name='earlier answers')),
                ('claimed_at', models.DateTimeField(editable=False, verbose_name='claimed at')),
                ('answered_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='answered at')),
                ('arrived_at', models.DateTimeField(blank=True, null=True, verbose_name='arrived at')),
                ('shown_at', models.DateTimeField(blank=True, null=True, verbose_name='shown at')),
                ('opened_at', models.DateTimeField(blank=True, null=True, verbose_name='opened at')),
                ('device', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='notifications.devicetoken', verbose_name='device')),
                ('notification', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='notifications.notificationlog', verbose_name='reminder')),
            ],
            options={
                'verbose_name': 'delivery',
                'verbose_name_plural': 'deliveries',
                'db_table': 'push_deliveries',
            },
        ),
        migrations.AddConstraint(
            model_name='devicetoken',
            constraint=models.CheckConstraint(condition=models.Q(('token__regex', '^[!-~]+$')), name='device_tokens_are_printable_ascii'),
        ),
        migrations.AddConstraint(
            model_name='devicetoken',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('revoke_reason', ''), ('revoked_at', None)), models.Q(('revoked_at__isnull', False), models.Q(('revoke_reason', ''), _negated=True)), _connector='OR'), name='device_tokens_revoked_have_a_reason'),
        ),
        migrations.AddIndex(
            model_name='notificationlog',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['expires_at', 'id'], name='notification_logs_queue'),
        ),
        migrations.AddIndex(
            model_name='notificationlog',
            index=models.Index(fields=['tag'], name='notification_logs_by_tag'),
        ),
        migrations.AddIndex(
            model_name='notificationlog',
            index=models.Index(models.F('user'), models.OrderBy(models.F('send_at'), descending=True), name='notification_logs_of_user'),
        ),
        migrations.AddConstraint(
            model_name='notificationlog',
            constraint=models.UniqueConstraint(fields=('dose', 'kind', 'step'), name='notification_logs_once_per_dose_and_step'),
        ),
        migrations.AddConstraint(
            model_name='notificationlog',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'accepted', 'moot', 'dead'])), name='notification_logs_status_is_known'),
        ),
        migrations.AddConstraint(
            model_name='notificationlog',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['due', 'follow_up', 'snoozed', 'withdraw', 'test'])), name='notification_logs_kind_is_known'),
        ),
        migrations.AddConstraint(
            model_name='notificationlog',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('device__isnull', False), ('dose', None), ('kind', 'test')), models.Q(models.Q(('kind', 'test'), _negated=True), ('dose__isnull', False)), _connector='OR'), name='notification_logs_are_about_a_dose_or_test_a_device'),
        ),
        migrations.AddConstraint(
            model_name='notificationlog',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at', None), ('status', 'queued')), models.Q(models.Q(('status', 'queued'), _negated=True), ('closed_at__isnull', False)), _connector='OR'), name='notification_logs_closed_have_their_time'),
        ),
        migrations.AddConstraint(
            model_name='notificationlog',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['moot', 'dead']), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='notification_logs_moot_and_dead_have_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='notificationlog',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'accepted'), _negated=True), ('sent_at__isnull', False), _connector='OR'), name='notification_logs_accepted_have_their_time'),
        ),
        migrations.AddConstraint(
            model_name='notificationlog',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease_token', None), ('lease_until', None)), models.Q(('lease_token__isnull', False), ('lease_until__isnull', False), ('status', 'queued')), _connector='OR'), name='notification_logs_only_queued_are_leased'),
        ),
        migrations.AddConstraint(
            model_name='notificationlog',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('send_at'))), name='notification_logs_expire_after_their_time'),
        ),
        migrations.AddIndex(
            model_name='pushdelivery',
            index=models.Index(fields=['device', 'id'], name='push_deliveries_of_device'),
        ),
        migrations.AddConstraint(
            model_name='pushdelivery',
            constraint=models.UniqueConstraint(fields=('notification', 'device'), name='push_deliveries_once_per_reminder_and_device'),
        ),
        migrations.AddConstraint(
            model_name='pushdelivery',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__in', ['accepted', 'retry', 'dead'])), name='push_deliveries_outcome_is_known'),
        ),
        migrations.AddConstraint(
            model_name='pushdelivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome', 'accepted'), models.Q(('message_id', ''), _negated=True)), models.Q(models.Q(('outcome', 'accepted'), _negated=True), models.Q(('error_code', ''), _negated=True)), _connector='OR'), name='push_deliveries_say_which_message_or_which_error'),
        ),
        migrations.AddIndex(
            model_name='devicetoken',
            index=models.Index(condition=models.Q(('revoked_at', None), ('silent_since__isnull', False)), fields=['silent_since'], name='device_tokens_silent'),
        ),
    ]
