"""The task that ends pauses finds them without reading all medications."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("medications", "0003_append_only_events")]
    operations = [
        migrations.AddIndex(
            "medication",
            models.Index(
                fields=["paused_until"],
                condition=Q(paused_until__isnull=False),
                name="medications_pauses_with_an_end",
            ),
        )
    ]
