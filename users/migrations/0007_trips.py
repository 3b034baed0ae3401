"""Stays in another time zone."""

import django.db.models.deletion
import django.db.models.functions.datetime
import medtrack.database.ids
import users.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('users', '0006_living_session_function'),
    ]

    operations = [
        migrations.CreateModel(
            name='Trip',
            fields=[
                ('id', models.UUIDField(default=medtrack.database.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('timezone', models.CharField(max_length=64, validators=[users.models.validate_zone], verbose_name='time zone')),
                ('starts_at', models.DateTimeField(verbose_name='starts at')),
                ('ends_at', models.DateTimeField(blank=True, null=True, verbose_name='ends at')),
                ('timezone_before', models.CharField(blank=True, db_default='', max_length=64, verbose_name='time zone before')),
                ('started_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='started at')),
                ('ended_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='ended at')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created at')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='trips', to=settings.AUTH_USER_MODEL, verbose_name='person')),
            ],
            options={
                'verbose_name': 'trip',
                'verbose_name_plural': 'trips',
                'db_table': 'trips',
                'indexes': [models.Index(condition=models.Q(('started_at', None)), fields=['starts_at'], name='trips_to_start'), models.Index(condition=models.Q(('ended_at', None), ('ends_at__isnull', False)), fields=['ends_at'], name='trips_to_end')],
                'constraints': [models.CheckConstraint(condition=models.Q(('ends_at', None), ('ends_at__gt', models.F('starts_at')), _connector='OR'), name='trips_end_after_they_start')],
            },
        ),
    ]
