from typing import Any

from rest_framework import serializers

from dosing.models import DoseLog, Schedule
from medications.models import Medication
from medtrack.common.fields import CalendarDateField, IdField, InstantField, QuantityField, WallTimeField
from users.serializers import UserOutput


class ScheduleInput(serializers.Serializer[Any]):
    scheduled_time = WallTimeField()
    cycle_type = serializers.ChoiceField(Schedule.CycleType.choices, required=False)
    cycle_value = serializers.JSONField(allow_null=True, required=False)
    quantity = QuantityField(required=False)
    meal_relation = serializers.ChoiceField(Schedule.MealRelation.choices, required=False)
    start_date = CalendarDateField(required=False)
    end_date = CalendarDateField(allow_null=True, required=False)
    is_active = serializers.BooleanField(required=False)
    reminder_enabled = serializers.BooleanField(required=False)


class NewScheduleInput(ScheduleInput):
    id = IdField(required=False)


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
    quantity = QuantityField(source="actual_quantity")
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
    date = CalendarDateField()
    timezone = serializers.CharField()
    results = DoseOutput(many=True)


class DayQuery(serializers.Serializer[Any]):
    date = CalendarDateField(required=False)


class UndoInput(serializers.Serializer[Any]):
    event_id = IdField(required=False)
    occurred_at = InstantField(required=False)


class TakeInput(UndoInput):
    quantity = QuantityField(required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)


class SkipInput(UndoInput):
    reason = serializers.CharField(max_length=200, allow_blank=True, required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)


class SnoozeInput(UndoInput):
    minutes = serializers.IntegerField(min_value=1, max_value=240, default=10)


class AmendInput(UndoInput):
    taken_at = InstantField(required=False)
    quantity = QuantityField(required=False)
    reason = serializers.CharField(max_length=200, allow_blank=True, required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)


class IntakeInput(serializers.Serializer[Any]):
    id = IdField(required=False)
    medication_id = IdField()
    schedule_id = IdField(required=False, allow_null=True)
    taken_at = InstantField(required=False)
    quantity = QuantityField(required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)
    override = serializers.BooleanField(required=False)


class MoveOutput(serializers.Serializer[Any]):
    schedule_id = serializers.UUIDField()
    medication_id = serializers.UUIDField()
    log_date = CalendarDateField()
    due_at_before = serializers.DateTimeField()
    due_at = serializers.DateTimeField()


class ChangedProfileOutput(UserOutput):
    """The person, and which planned doses another time zone moved."""

    moved_doses = MoveOutput(many=True)

    class Meta(UserOutput.Meta):
        fields = [*UserOutput.Meta.fields, "moved_doses"]
        read_only_fields = fields
