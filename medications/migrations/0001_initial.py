
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import medtrack.common.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Medication',
            fields=[
                ('id', models.UUIDField(default=medtrack.common.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('dosage', models.CharField(blank=True, max_length=100, verbose_name='dosage')),
                ('form', models.CharField(choices=[('tablet', 'tablet'), ('capsule', 'capsule'), ('liquid', 'liquid'), ('powder', 'powder'), ('drops', 'drops'), ('spray', 'spray'), ('inhaler', 'inhaler'), ('injection', 'injection'), ('patch', 'patch'), ('cream', 'cream'), ('suppository', 'suppository'), ('other', 'other')], default='tablet', max_length=16, verbose_name='form')),
                ('strength', models.CharField(blank=True, max_length=50, verbose_name='strength')),
                ('unit', models.CharField(blank=True, max_length=30, verbose_name='unit')),
                ('color_tag', models.CharField(default='#1D9E75', max_length=7, validators=[django.core.validators.RegexValidator('^#[0-9A-Fa-f]{6}$')], verbose_name='color tag')),
                ('memo', models.TextField(blank=True, max_length=2000, verbose_name='memo')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('paused_at', models.DateTimeField(blank=True, null=True, verbose_name='paused at')),
                ('stock_quantity', models.DecimalField(blank=True, decimal_places=3, max_digits=12, null=True, verbose_name='stock')),
                ('low_stock_threshold', models.DecimalField(blank=True, decimal_places=3, max_digits=12, null=True, verbose_name='low stock from')),
                ('expires_on', models.DateField(blank=True, null=True, verbose_name='expires on')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
                ('deleted_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='deleted at')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='medications', to=settings.AUTH_USER_MODEL, verbose_name='person')),
            ],
            options={
                'verbose_name': 'medication',
                'verbose_name_plural': 'medications',
                'db_table': 'medications',
                'indexes': [models.Index(condition=models.Q(('deleted_at', None)), fields=['user'], name='medications_of_user')],
                'constraints': [models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='medications_have_a_name'), models.CheckConstraint(condition=models.Q(('color_tag__regex', '^#[0-9A-Fa-f]{6}$')), name='medications_color_tag_is_hex'), models.CheckConstraint(condition=models.Q(('stock_quantity', None), ('stock_quantity__gte', 0), _connector='OR'), name='medications_stock_is_not_negative'), models.CheckConstraint(condition=models.Q(('low_stock_threshold', None), ('low_stock_threshold__gte', 0), _connector='OR'), name='medications_low_stock_threshold_is_not_negative')],
            },
        ),
    ]
