"""Constraints of 0007, which PostgreSQL cannot add in the transaction that filled the columns."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("dosing", "0007_dose_ordinals")]
    operations = [
        migrations.AddConstraint(
            "doselog",
            models.CheckConstraint(
                condition=Q(skipped_at=None) | Q(status="skipped"),
                name="dose_logs_only_skipped_have_their_time",
            ),
        ),
        migrations.AddConstraint(
            "doselog",
            models.CheckConstraint(
                condition=Q(reopened_until=None) | Q(status="pending"),
                name="dose_logs_reopened_are_pending",
            ),
        ),
        migrations.AddConstraint(
            "schedule",
            models.CheckConstraint(
                condition=Q(cycle_type="as_needed") | Q(scheduled_time__isnull=False),
                name="schedules_that_are_planned_have_a_time",
            ),
        ),
        migrations.AddConstraint(
            "schedule",
            models.CheckConstraint(
                condition=Q(timezone=None) | ~Q(timezone=""),
                name="schedules_timezone_is_null_rather_than_empty",
            ),
        ),
    ]
