"""Doses and intakes, and what people do to them."""

from typing import Any

from rest_framework import serializers

from dosing.models import DoseLog
from dosing.serializers.spans import SpanQuery
from dosing.status import (
    SHOWN_STATUSES,
    UPCOMING_STATUSES,
    DoseStatus,
)
from medications.models import Medication
from medtrack.http.fields import (
    CalendarDateField,
    IdField,
    InstantField,
    QuantityField,
    WallTimeField,
)


class DoseMedicationOutput(serializers.ModelSerializer[Medication]):
    """As it was described when the dose was answered; `color_tag` and `current_name` are the present ones."""

    current_name = serializers.CharField(help_text="The name that the medication has now.")

    class Meta:
        model = Medication
        fields = ["id", "name", "dosage", "strength", "form", "unit", "color_tag", "current_name"]
        read_only_fields = fields


class DoseOutput(serializers.ModelSerializer[DoseLog]):
    medication = DoseMedicationOutput(source="medication_as_taken")
    scheduled_time = WallTimeField(allow_null=True)
    quantity = QuantityField(source="actual_quantity")
    status = serializers.ChoiceField(
        SHOWN_STATUSES,
        read_only=True,
        help_text="`planned`: the dose is not written yet. Its id is the one with which it will be.",
    )
    recorded_by = serializers.UUIDField(source="recorded_by_id", allow_null=True)
    # Only the day knows: it has doses of the dates beside it.
    also_on = CalendarDateField(
        read_only=True,
        allow_null=True,
        default=None,
        help_text=(
            "In a day of doses, of a dose that was taken on this day but belongs to another: the date on which "
            "it counts and is listed, too. Null otherwise."
        ),
    )

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
            "also_on",
        ]
        read_only_fields = fields


class IntakeOutput(DoseOutput):
    over_limit = serializers.BooleanField(
        help_text=(
            "The local day already had 300 intakes, or as many as the operator has set. The intake is "
            "recorded all the same."
        )
    )

    class Meta(DoseOutput.Meta):
        fields = [*DoseOutput.Meta.fields, "over_limit"]
        read_only_fields = fields


class DayOutput(serializers.Serializer[Any]):
    date = CalendarDateField()
    timezone = serializers.CharField()
    results = DoseOutput(many=True)


class DayQuery(serializers.Serializer[Any]):
    date = CalendarDateField(
        required=False, help_text="One local day, by default today. Not together with the other parameters."
    )


class HistoryOutput(serializers.Serializer[Any]):
    results = DoseOutput(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()


class UpcomingQuery(serializers.Serializer[Any]):
    days = serializers.IntegerField(
        min_value=1, max_value=60, default=14, help_text="How many local dates after today."
    )


class UpcomingDoseOutput(serializers.ModelSerializer[DoseLog]):
    schedule_version = serializers.IntegerField(source="schedule.version")
    medication = DoseMedicationOutput(source="medication_as_taken")
    scheduled_time = WallTimeField()
    due_at = serializers.DateTimeField()
    quantity = QuantityField()
    status = serializers.ChoiceField(UPCOMING_STATUSES)
    tag = serializers.UUIDField(
        read_only=True,
        allow_null=True,
        default=None,
        help_text=(
            "The tag of our push about the dose, so that an alarm of the phone with this tag and the push replace "
            "each other: the lowest id of the doses due at the same instant. Null if the schedule has no reminders."
        ),
    )

    class Meta:
        model = DoseLog
        fields = [
            "id",
            "schedule_id",
            "schedule_version",
            "medication",
            "log_date",
            "scheduled_time",
            "due_at",
            "quantity",
            "status",
            "snoozed_until",
            "tag",
        ]
        read_only_fields = fields


class UpcomingOutput(serializers.Serializer[Any]):
    to = CalendarDateField(help_text="The last local date.")
    timezone = serializers.CharField()
    truncated = serializers.BooleanField(help_text="There are more doses than these, the first 1,000.")
    results = UpcomingDoseOutput(many=True)


class DoseActionInput(serializers.Serializer[Any]):
    elsewhere = {
        "status": "POST /api/v1/doses/{id}/take, /skip, /undo",
        "snoozed_until": "POST /api/v1/doses/{id}/snooze",
        "due_at": "PATCH /api/v1/schedules/{id}",
    }

    event_id = IdField(required=False)
    occurred_at = InstantField(required=False, help_text="Now by default, and never later.")


class UndoInput(DoseActionInput):
    undoes = IdField(
        required=False, help_text="The `event_id` of the answer that is taken back; by default the latest."
    )


class TakeInput(DoseActionInput):
    elsewhere = DoseActionInput.elsewhere | {"taken_at": "occurred_at"}

    quantity = QuantityField(required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)
    override = serializers.BooleanField(
        required=False,
        help_text=(
            "Lets the dose be early, be taken although another person skipped it, or, as an as-needed intake "
            "that was undone, exceed its limits."
        ),
    )


class SkipInput(DoseActionInput):
    reason = serializers.CharField(max_length=200, allow_blank=True, required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)
    override = serializers.BooleanField(required=False, help_text="Lets the dose be early.")


class SnoozeInput(DoseActionInput):
    elsewhere = DoseActionInput.elsewhere | {"snoozed_until": "minutes"}

    minutes = serializers.IntegerField(min_value=1, max_value=240, default=10)


class AmendInput(DoseActionInput):
    taken_at = InstantField(required=False)
    quantity = QuantityField(required=False)
    reason = serializers.CharField(max_length=200, allow_blank=True, required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)
    override = serializers.BooleanField(
        required=False, help_text="Lets `taken_at` be early, or an as-needed intake exceed its limits."
    )


class IntakeInput(serializers.Serializer[Any]):
    elsewhere = {
        "dose_id": "POST /api/v1/doses/{id}/take",
        "occurred_at": "taken_at",
    }

    id = IdField(required=False)
    medication_id = IdField()
    schedule_id = IdField(required=False, allow_null=True)
    taken_at = InstantField(required=False)
    quantity = QuantityField(required=False)
    note = serializers.CharField(max_length=500, allow_blank=True, required=False)
    override = serializers.BooleanField(required=False)


class NextAllowedQuery(serializers.Serializer[Any]):
    quantity = QuantityField(required=False, help_text="By default the medication's usual quantity.")


class TakenOutput(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    quantity = QuantityField()


class NextAllowedOutput(serializers.Serializer[Any]):
    allowed = serializers.BooleanField()
    next_allowed_at = serializers.DateTimeField(
        allow_null=True, help_text="Now if it is allowed. Null if that quantity never is."
    )
    taken_24h = TakenOutput(help_text="What was taken in the last 24 hours, planned doses included.")


class HistoryQuery(SpanQuery):
    medication = IdField(required=False)
    status = serializers.ChoiceField(DoseStatus.choices, required=False)
