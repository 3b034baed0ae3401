"""What staff may do: by permission everywhere, and by these three groups for whoever appoints them."""

from django.contrib.auth.management import create_permissions
from django.db import migrations

APPS = ("users", "medications", "dosing", "notifications", "console")
# The stock pages about a patient's medicines and reminders.
SUBJECT = (
    "console.view_patient",
    "users.view_user",
    "users.view_session",
    "medications.view_medication",
    "dosing.view_schedule",
    "dosing.view_doselog",
    "dosing.view_doseevent",
    "notifications.view_notificationlog",
    "notifications.view_pushdelivery",
    "notifications.view_devicetoken",
)
ROLES = {
    "support": (
        *SUBJECT,
        "console.send_test_push",
        "console.revoke_device",
        "console.end_sessions",
        "console.replan",
    ),
    "clinician": (*SUBJECT, "console.read_notes", "console.export_patients"),
    "operator": (
        "notifications.view_devicetoken",
        "notifications.view_pushdelivery",
        "notifications.view_enginecheck",
        "console.send_test_push",
        "console.revoke_device",
    ),
}


def make_roles(apps, schema_editor):
    # Django makes permissions after all migrations; the groups need them now.
    for label in APPS:
        config = apps.get_app_config(label)
        config.models_module = True
        create_permissions(config, apps=apps, verbosity=0)
        config.models_module = None
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    for name, rights in ROLES.items():
        group, _created = Group.objects.get_or_create(name=name)
        found = []
        for right in rights:
            app, codename = right.split(".")
            found.append(Permission.objects.get(content_type__app_label=app, codename=codename))
        group.permissions.set(found)


def remove_roles(apps, schema_editor):
    apps.get_model("auth", "Group").objects.filter(name__in=ROLES).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("console", "0002_append_only_access"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("users", "0001_initial"),
        ("medications", "0001_initial"),
        ("dosing", "0002_append_only_events"),
        ("notifications", "0003_engine_violations"),
    ]
    operations = [migrations.RunPython(make_roles, remove_roles)]
