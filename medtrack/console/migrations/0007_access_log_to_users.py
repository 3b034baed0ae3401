"""The access log's model, content type and permissions move to `users`. The table stays as it is.

`console.view_accesslog` becomes `users.view_accesslog` for every group and user that has it, because the permission's
row follows its content type.
"""

from django.db import migrations


def move_content_type(apps, from_app, to_app):
    ContentType = apps.get_model("contenttypes", "ContentType")
    ContentType.objects.filter(app_label=from_app, model="accesslog").update(app_label=to_app)


def to_users(apps, schema_editor):
    move_content_type(apps, "console", "users")


def to_console(apps, schema_editor):
    move_content_type(apps, "users", "console")


class Migration(migrations.Migration):
    dependencies = [
        ("console", "0006_shared_append_only_function"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    # The model must have left this app before it is added to the other. This way round, `users` names no app above it.
    run_before = [("users", "0005_access_log")]

    operations = [
        migrations.RunPython(to_users, to_console),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel(name="AccessLog")]),
    ]
