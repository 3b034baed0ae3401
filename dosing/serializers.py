from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from dosing.cycle_values import InvalidCycle, parse_cycle
from dosing.models import DoseLog, Schedule
from medications.models import Medication
from medtrack.common.fields import QuantityField, WallTimeField
from medtrack.common.problems import field_error

CYCLE_ERRORS = {
    "not_supported": _("There is no such cycle."),
    "must_be_null": _("This cycle takes no value."),
    "must_be_object": _("This cycle needs an object."),
    "required": _("This cycle needs at least one entry here."),
    "unknown_key": _("This cycle has no such setting."),
    "unknown_weekday": _("Weekdays are mon, tue, wed, thu, fri, sat and sun."),
    "repeated": _("An entry is given twice."),
    "out_of_range": _("This is not a number in the allowed range."),
    "malformed": _("This cannot be read."),
}


class ScheduleInput(serializers.Serializer[Any]):
    scheduled_time = WallTimeField()
    cycle_type = serializers.ChoiceField(Schedule.CycleType.choices, required=False)
    cycle_value = serializers.JSONField(allow_null=True, required=False)
    quantity = QuantityField(required=False)
    meal_relation = serializers.ChoiceField(Schedule.MealRelation.choices, required=False)
    start_date = serializers.DateField(required=False)
    end_date = serializers.DateField(allow_null=True, required=False)
    is_active = serializers.BooleanField(required=False)
    reminder_enabled = serializers.BooleanField(required=False)


class NewScheduleInput(ScheduleInput):
    id = serializers.UUIDField(required=False)


class ScheduleOutput(serializers.ModelSerializer[Schedule]):
    scheduled_time = WallTimeField()
    quantity = QuantityField()

    class Meta:
        model = Schedule
        fields = [
            "id",
            "medication_id",
            "scheduled_time",
            "cycle_type",
            "cycle_value",
            "quantity",
            "meal_relation",
            "start_date",
            "end_date",
            "is_active",
            "reminder_enabled",
            "next_due_at",
            "version",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class DoseMedicationOutput(serializers.ModelSerializer[Medication]):
    class Meta:
        model = Medication
        fields = ["id", "name", "dosage", "color_tag"]
        read_only_fields = fields


class DoseOutput(serializers.ModelSerializer[DoseLog]):
    medication = DoseMedicationOutput()
    scheduled_time = WallTimeField(allow_null=True)
    quantity = QuantityField()
    recorded_by = serializers.UUIDField(source="recorded_by_id", allow_null=True)

    class Meta:
        model = DoseLog
        fields = [
            "id",
            "schedule_id",
            "medication",
            "log_date",
            "scheduled_time",
            "due_at",
            "quantity",
            "status",
            "taken_at",
            "snoozed_until",
            "recorded_by",
            "skip_reason",
            "note",
        ]
        read_only_fields = fields


class DayOutput(serializers.Serializer[Any]):
    date = serializers.DateField()
    timezone = serializers.CharField()
    results = DoseOutput(many=True)


class DayQuery(serializers.Serializer[Any]):
    date = serializers.DateField(required=False)


class UndoInput(serializers.Serializer[Any]):
    event_id = serializers.UUIDField(required=False)
    occurred_at = serializers.DateTimeField(required=False)


class TakeInput(UndoInput):
    quantity = QuantityField(required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)


class SkipInput(UndoInput):
    reason = serializers.CharField(max_length=200, allow_blank=True, required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)


def checked_schedule(fields: dict[str, Any]) -> dict[str, Any]:
    """The whole schedule's fields, when they fit each other. Raises ValidationError naming the field."""
    try:
        parse_cycle(fields.get("cycle_type", Schedule.CycleType.DAILY), fields.get("cycle_value"))
    except InvalidCycle as error:
        raise field_error(error.field, CYCLE_ERRORS[error.code], code=error.code) from error
    end_date = fields.get("end_date")
    if end_date is not None and end_date < fields["start_date"]:
        raise field_error("end_date", _("The end is before the start."), code="before_start")
    return fields
