"""Schedules, previews, and what another time zone does to them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from dosing.cycle_schemas import CYCLE_VALUE, DESCRIPTION
from dosing.models import Schedule
from dosing.serializers.spans import SpanOutput
from medtrack.http.fields import (
    CalendarDateField,
    IdField,
    LocalInstantField,
    QuantityField,
    WallTimeField,
)
from medtrack.http.preconditions import VersionField
from users.serializers import UserOutput, ZoneField


@extend_schema_field(CYCLE_VALUE)
class CycleValueField(serializers.JSONField):
    """Any JSON value; `dosing.schedule_rules` checks that it fits the schedule's cycle."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, help_text=DESCRIPTION, **kwargs)


class ScheduleInput(serializers.Serializer[Any]):
    elsewhere = {
        "paused_at": "POST /api/v1/medications/{id}/pause, /resume",
        "is_paused": "POST /api/v1/medications/{id}/pause, /resume",
        **dict.fromkeys(("name", "dosage", "strength", "unit", "form"), "PATCH /api/v1/medications/{id}"),
    }

    scheduled_time = WallTimeField(
        required=False,
        allow_null=True,
        help_text="Required, except for `as_needed`, which has no time of day.",
    )
    cycle_type = serializers.ChoiceField(Schedule.CycleType.choices, required=False)
    cycle_value = CycleValueField(required=False)
    timezone = ZoneField(
        required=False,
        allow_null=True,
        help_text="Null: the user's own, wherever they are. Otherwise the schedule stays on the clock of this zone.",
    )
    quantity = QuantityField(required=False)
    meal_relation = serializers.ChoiceField(Schedule.MealRelation.choices, required=False)
    start_date = CalendarDateField(required=False)
    end_date = CalendarDateField(allow_null=True, required=False)
    is_active = serializers.BooleanField(required=False)
    reminder_enabled = serializers.BooleanField(required=False)


class ScheduleChanges(ScheduleInput):
    version = VersionField()


class SchedulesQuery(serializers.Serializer[Any]):
    medication = IdField(required=False, help_text="Only those of this medication.")
    is_active = serializers.BooleanField(required=False)


class NewScheduleInput(ScheduleInput):
    id = IdField(required=False)


class ScheduleOutput(serializers.ModelSerializer[Schedule]):
    computed = {"next_due_at", "updated_at", "warnings"}

    scheduled_time = WallTimeField(allow_null=True)
    cycle_value = CycleValueField()
    quantity = QuantityField()
    # The view adds it: it depends on the present instant.
    next_due_at = serializers.DateTimeField(
        read_only=True,
        allow_null=True,
        default=None,
        help_text="When the next dose that is not answered yet is due. Null if none is to come.",
    )

    class Meta:
        model = Schedule
        fields = [
            "id",
            "medication_id",
            "scheduled_time",
            "timezone",
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


class ScheduleWarningOutput(serializers.Serializer[Any]):
    code = serializers.CharField(
        help_text=(
            "`never_due`: the rule has no dose from now on. `closer_than_usual`: less time passes from the "
            "last due dose to the next one than is usual for the cycle. Others may be added."
        )
    )
    due_at = serializers.DateTimeField(allow_null=True, help_text="Of `closer_than_usual`: the next dose.")
    previous_due_at = serializers.DateTimeField(
        allow_null=True, help_text="Of `closer_than_usual`: the last dose that was due."
    )
    detail = serializers.CharField(help_text="A sentence in the caller's language.")


class WrittenScheduleOutput(ScheduleOutput):
    """The schedule, and what may surprise about it. It is saved all the same."""

    warnings = ScheduleWarningOutput(many=True)

    class Meta(ScheduleOutput.Meta):
        fields = [*ScheduleOutput.Meta.fields, "warnings"]
        read_only_fields = fields


class MoveOutput(serializers.Serializer[Any]):
    schedule_id = serializers.UUIDField()
    medication_id = serializers.UUIDField()
    log_date = CalendarDateField()
    due_at_before = serializers.DateTimeField()
    due_at = serializers.DateTimeField()


class TravelWarningOutput(serializers.Serializer[Any]):
    schedule_id = serializers.UUIDField()
    medication_id = serializers.UUIDField()
    code = serializers.CharField(
        source="warning.code",
        help_text="`closer_than_usual`, `longer_than_usual`, `absorbed_by_travel` or `date_lived_twice`, as in "
        "previewSchedule. Others may be added.",
    )
    log_date = CalendarDateField(source="warning.log_date")
    due_at = serializers.DateTimeField(source="warning.due_at")
    previous_due_at = serializers.DateTimeField(
        source="warning.previous_due_at",
        allow_null=True,
        help_text="When the dose before it is or was due. Null if there is none.",
    )
    detail = serializers.CharField(source="warning.detail", help_text="A sentence in the caller's language.")


class ChangedProfileOutput(UserOutput):
    """The user, the planned doses that a change of the time zone moved, and what may surprise."""

    moved_doses = MoveOutput(many=True)
    warnings = TravelWarningOutput(many=True)

    class Meta(UserOutput.Meta):
        fields = [*UserOutput.Meta.fields, "moved_doses", "warnings"]
        read_only_fields = fields


class ExpectedDoseOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="The id that the dose has, or will have when it is written.")
    log_date = CalendarDateField()
    ordinal = serializers.IntegerField(help_text="1 for the second dose of a date that travel repeats.")
    scheduled_time = WallTimeField()
    due_at = serializers.DateTimeField()
    due_at_local = LocalInstantField(help_text="`due_at` with the offset of the user's time zone.")
    quantity = QuantityField()


class PreviewWarningOutput(serializers.Serializer[Any]):
    code = serializers.CharField(
        help_text=(
            "`moved_by_dst`: clocks skip the time on this date, so the dose is due at the end of the gap. "
            "`closer_than_usual`: less time has passed since the previous dose than is usual for the cycle. "
            "`longer_than_usual`: because of a change of the time zone more time passes. "
            "`absorbed_by_travel`: because of a change of the time zone the date has no dose; `due_at` is when it "
            "would have been due. `date_lived_twice`: the date repeats, and has one more dose. "
            "Others may be added."
        )
    )
    log_date = CalendarDateField()
    due_at = serializers.DateTimeField()
    previous_due_at = serializers.DateTimeField(
        allow_null=True,
        help_text="When the dose before it is or was due. Null if there is none, and for `moved_by_dst`.",
    )
    detail = serializers.CharField(help_text="A sentence in the caller's language.")


class PreviewOutput(SpanOutput):
    schedule_id = serializers.UUIDField()
    is_active = serializers.BooleanField(
        help_text="False if the schedule or its medication is inactive or paused: no doses are planned then."
    )
    results = ExpectedDoseOutput(many=True)
    warnings = PreviewWarningOutput(many=True)
