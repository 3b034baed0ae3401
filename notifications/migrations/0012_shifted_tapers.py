"""`engine_violations` with the dates of a taper that ends earlier or later because of travel."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("notifications.migrations.0011_doses_that_move").VIEW
_FALLS_ON = "medtrack_falls_on(s.cycle_type, s.cycle_value, s.start_date, day)"
assert BEFORE.count(_FALLS_ON) == 1
NOW = BEFORE.replace(
    _FALLS_ON,
    "medtrack_falls_on(s.cycle_type, s.cycle_value, "
    "s.start_date + coalesce((s.travel->>'shift')::integer, 0), day)",
)


class Migration(migrations.Migration):
    dependencies = [("notifications", "0011_doses_that_move")]
    operations = [migrations.RunSQL(NOW, BEFORE)]
