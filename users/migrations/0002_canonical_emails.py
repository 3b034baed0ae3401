"""E-mail addresses are stored with their domain as DNS has it; those that were stored in Unicode become so."""

import idna
from django.db import migrations
from django.db.models.functions import Lower


def store_domains_in_ascii(apps, schema_editor):
    User = apps.get_model("users", "User")
    written_in_unicode = User.objects.filter(email__regex=r"@.*[^\x01-\x7f]")
    for user in written_in_unicode.only("id", "email").iterator():
        local, _at, domain = user.email.rpartition("@")
        try:
            email = f"{local}@{idna.encode(domain, uts46=True, std3_rules=True).decode()}"
        except idna.IDNAError:
            continue
        taken = User.objects.alias(lower=Lower("email")).filter(lower=email.lower()).exclude(id=user.id)
        # Who cannot have the new form is still found by the old one.
        if len(email) <= 254 and not taken.exists():
            User.objects.filter(id=user.id).update(email=email)


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial")]
    operations = [migrations.RunPython(store_domains_in_ascii, migrations.RunPython.noop)]
