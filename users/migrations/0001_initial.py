
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import medtrack.common.ids
import users.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('email', models.EmailField(blank=True, max_length=254, null=True, verbose_name='e-mail')),
                ('email_verified_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='e-mail verified at')),
                ('name', models.CharField(blank=True, max_length=100, verbose_name='name')),
                ('timezone', models.CharField(default='Asia/Seoul', max_length=64, validators=[users.models.validate_zone], verbose_name='time zone')),
                ('language', models.CharField(choices=[('ko', 'Korean'), ('en', 'English'), ('ja', 'Japanese')], default='ko', max_length=8, verbose_name='language')),
                ('provider', models.CharField(default='email', max_length=32, verbose_name='provider')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('is_staff', models.BooleanField(default=False, verbose_name='staff')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
                ('deleted_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='deleted at')),
                ('private_push_text', models.BooleanField(default=True, verbose_name="hide the medicine's name in pushes")),
                ('follow_up_interval_minutes', models.PositiveSmallIntegerField(default=10, verbose_name='follow-up interval minutes')),
                ('follow_up_cap', models.PositiveSmallIntegerField(default=3, verbose_name='follow-up cap')),
                ('quiet_hours_start_time', models.TimeField(blank=True, null=True, verbose_name='quiet hours from')),
                ('quiet_hours_end_time', models.TimeField(blank=True, null=True, verbose_name='quiet hours until')),
                ('week_start', models.PositiveSmallIntegerField(default=1, help_text='ISO weekday, 1 is Monday', verbose_name='week start')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'verbose_name': 'person',
                'verbose_name_plural': 'people',
                'db_table': 'users',
            },
        ),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('scope', models.CharField(choices=[('medication', 'Medication'), ('schedule', 'Schedule'), ('intake', 'Intake'), ('event', 'Event')], max_length=16)),
                ('key', models.UUIDField()),
                ('fingerprint', models.BinaryField(max_length=32)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'idempotency_keys',
            },
        ),
        migrations.CreateModel(
            name='Identity',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('issuer', models.CharField(max_length=255, verbose_name='issuer')),
                ('subject', models.CharField(max_length=255, verbose_name='subject')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created at')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='identities', to=settings.AUTH_USER_MODEL, verbose_name='person')),
            ],
            options={
                'verbose_name': 'identity',
                'verbose_name_plural': 'identities',
                'db_table': 'identities',
            },
        ),
        migrations.CreateModel(
            name='Session',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('family', models.UUIDField(unique=True, verbose_name='token family')),
                ('refresh_token_hash', models.BinaryField(max_length=32, null=True)),
                ('previous_token_hash', models.BinaryField(max_length=32, null=True)),
                ('outside_id', models.CharField(blank=True, db_default='', max_length=255, verbose_name="issuer's session")),
                ('device_name', models.CharField(blank=True, max_length=100, verbose_name='device')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created at')),
                ('last_used_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='last used at')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
                ('revoked_at', models.DateTimeField(blank=True, null=True, verbose_name='revoked at')),
                ('identity', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='sessions', to='users.identity', verbose_name='identity')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sessions', to=settings.AUTH_USER_MODEL, verbose_name='person')),
            ],
            options={
                'verbose_name': 'session',
                'verbose_name_plural': 'sessions',
                'db_table': 'sessions',
            },
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('email'), name='users_email_is_unique_whatever_its_case'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('email', ''), _negated=True), name='users_email_is_null_rather_than_empty'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('timezone', ''), _negated=True), name='users_have_a_timezone'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('language__in', ['ko', 'en', 'ja'])), name='users_language_is_one_we_speak'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('week_start__range', (1, 7))), name='users_week_start_is_a_weekday'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('follow_up_cap__lte', 10), ('follow_up_interval_minutes__range', (5, 240))), name='users_follow_ups_are_bounded'),
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('quiet_hours_end_time', None), ('quiet_hours_start_time', None)), models.Q(('quiet_hours_end_time__isnull', False), ('quiet_hours_start_time__isnull', False)), _connector='OR'), name='users_quiet_hours_have_both_ends'),
        ),
        migrations.AddConstraint(
            model_name='idempotencykey',
            constraint=models.UniqueConstraint(fields=('key', 'scope'), name='idempotency_keys_are_unique_by_scope'),
        ),
        migrations.AddConstraint(
            model_name='idempotencykey',
            constraint=models.CheckConstraint(condition=models.Q(('scope__in', ['medication', 'schedule', 'intake', 'event'])), name='idempotency_keys_scope_is_known'),
        ),
        migrations.AddConstraint(
            model_name='identity',
            constraint=models.UniqueConstraint(fields=('issuer', 'subject'), name='identities_are_unique_by_issuer_and_subject'),
        ),
        migrations.AddConstraint(
            model_name='session',
            constraint=models.UniqueConstraint(condition=models.Q(('identity__isnull', False)), fields=('identity', 'outside_id'), name='sessions_are_unique_by_identity_and_outside_id'),
        ),
        migrations.AddConstraint(
            model_name='session',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('identity', None), ('refresh_token_hash__isnull', False)), models.Q(('identity__isnull', False), ('refresh_token_hash', None)), _connector='OR'), name='sessions_have_our_tokens_or_an_outside_issuers'),
        ),
        migrations.AddConstraint(
            model_name='session',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at'))), name='sessions_expire_after_they_begin'),
        ),
    ]
