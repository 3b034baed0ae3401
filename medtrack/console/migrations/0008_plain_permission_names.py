"""Names of the permissions of patients in plain words."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('console', '0007_access_log_to_users'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='patient',
            options={'default_permissions': ('view',), 'permissions': [('read_notes', 'Read what patients wrote: notes, memos and reasons'), ('export_patients', 'Export lists'), ('send_test_push', 'Send a test push'), ('revoke_device', "Revoke a device's token"), ('end_sessions', "End a patient's sessions"), ('replan', "Re-plan a patient's doses"), ('deactivate', 'Deactivate an account')], 'verbose_name': 'patient', 'verbose_name_plural': 'patients'},
        ),
    ]
