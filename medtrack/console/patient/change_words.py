"""Changes of medications and schedules in words, in the active language. Pure."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateTimeField
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dosing.models import Schedule
from medications.models import Medication, MedicationEvent

Changes = Mapping[str, Sequence[Any]]

# Their events have every field, and say only what it is that was created or deleted.
_WHOLE = {
    MedicationEvent.Action.CREATED,
    MedicationEvent.Action.SCHEDULE_CREATED,
    MedicationEvent.Action.SCHEDULE_DELETED,
}


# What events of a change of the time zone have besides the columns.
_LABELS = {
    "absorbed": gettext_lazy("dates without a dose"),
    "lived_twice": gettext_lazy("dates that happened twice"),
}


def change_lines(event: MedicationEvent, changes: Changes, zone: ZoneInfo) -> list[str]:
    """A line for each field, for example "strength: 5 mg → 10 mg"."""
    if event.action in _WHOLE:
        return []
    model = Schedule if event.schedule_id else Medication
    return [
        f"{label(model, name)}: {_value(model, name, before, zone)} → {_value(model, name, after, zone)}"
        for name, (before, after) in sorted(changes.items())
    ]


def schedule_then(changes: Changes, schedule: Schedule | None) -> str:
    """The schedule that an event is about: as it was then, if the event says so, else as it is now."""
    if "scheduled_time" in changes and "cycle_type" in changes:
        times, cycles = changes["scheduled_time"], changes["cycle_type"]
        # One of both is null where the schedule was created or deleted; of a change it is the new one.
        at, cycle = times[1] or times[0], cycles[1] or cycles[0]
        return f"{at or ''} {dict(Schedule.CycleType.choices).get(cycle, cycle)}".strip()
    return str(schedule or "")


def label(model: type[Medication | Schedule], name: str) -> str:
    field = _field(model, name)
    return str(field.verbose_name) if field else str(_LABELS.get(name, name))


def _value(model: type[Medication | Schedule], name: str, value: Any, zone: ZoneInfo) -> str:
    field = _field(model, name)
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if field and field.choices:
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(field, DateTimeField):
        return f"{datetime.fromisoformat(value).astimezone(zone):%Y-%m-%d %H:%M}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _field(model: type[Medication | Schedule], name: str) -> Any:
    """The column, or None if events have a name that is none: that of an earlier version."""
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
