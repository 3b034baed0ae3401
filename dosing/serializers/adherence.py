"""Adherence."""

from typing import Any

from rest_framework import serializers

from dosing.adherence import GroupBy, PeriodLength
from dosing.serializers.spans import SpanOutput, SpanQuery
from medications.models import Medication
from medtrack.http.fields import (
    CalendarDateField,
)


class AdherenceMedicationOutput(serializers.ModelSerializer[Medication]):
    class Meta:
        model = Medication
        fields = ["id", "name", "dosage", "color_tag"]
        read_only_fields = fields


class FiguresOutput(serializers.Serializer[Any]):
    due = serializers.IntegerField(
        source="figures.due",
        help_text=(
            "Planned doses that were answered or missed, or are due by now. Not future doses, doses that the "
            "plan no longer has, or as-needed intakes."
        ),
    )
    taken = serializers.IntegerField(source="figures.taken", help_text="Of those that are due.")
    taken_extra = serializers.IntegerField(
        source="figures.taken_extra",
        help_text="Taken although the plan no longer has them, as in a pause. They are in no other number.",
    )
    skipped = serializers.IntegerField(source="figures.skipped")
    missed = serializers.IntegerField(source="figures.missed")
    on_time = serializers.IntegerField(
        source="figures.on_time", help_text="Taken at most 60 minutes before or after they were due."
    )
    on_time_rate = serializers.FloatField(
        source="figures.on_time_rate",
        allow_null=True,
        min_value=0,
        max_value=1,
        help_text="on_time / taken, to four decimals. Null if no dose was taken.",
    )
    rate = serializers.FloatField(
        source="figures.rate",
        allow_null=True,
        min_value=0,
        max_value=1,
        help_text="taken / due, to four decimals. Null if no dose was due.",
    )


class AdherenceTotalOutput(FiguresOutput):
    current_streak = serializers.IntegerField(
        source="streaks.current",
        help_text="The streak that has not ended by the last day of the range, in days.",
    )
    longest_streak = serializers.IntegerField(
        source="streaks.longest",
        help_text=(
            "The longest streak of complete days in the range. A day is complete if doses were due and all "
            "were taken. A skipped or missed dose ends a streak; a day without due doses, or with an open "
            "one, does not."
        ),
    )


class AdherenceResultOutput(FiguresOutput):
    period_start = CalendarDateField(
        source="period.start",
        allow_null=True,
        help_text="Null if grouped by medication, and so is period_end.",
    )
    period_end = CalendarDateField(source="period.end", allow_null=True)
    medication = AdherenceMedicationOutput(allow_null=True, help_text="Null unless grouped by medication.")
    current_streak = serializers.IntegerField(
        source="streaks.current",
        allow_null=True,
        help_text="Of this medication only. Null unless grouped by medication, and so is longest_streak.",
    )
    longest_streak = serializers.IntegerField(source="streaks.longest", allow_null=True)


class AdherenceQuery(SpanQuery):
    group_by = serializers.ChoiceField([group.value for group in GroupBy], default=GroupBy.DAY.value)


class AdherenceOutput(SpanOutput):
    group_by = serializers.ChoiceField([group.value for group in GroupBy])
    total = AdherenceTotalOutput()
    results = AdherenceResultOutput(many=True)


class CurrentAdherenceQuery(serializers.Serializer[Any]):
    period = serializers.ChoiceField(
        [length.value for length in PeriodLength],
        default=PeriodLength.DAILY.value,
        help_text="Today, or the week that contains today and begins on the user's first day of the week.",
    )


class CurrentAdherenceOutput(serializers.Serializer[Any]):
    period = serializers.ChoiceField([length.value for length in PeriodLength])
    period_start = CalendarDateField()
    period_end = CalendarDateField()
    due = serializers.IntegerField(help_text="As in getAdherence.")
    taken = serializers.IntegerField()
    target = serializers.IntegerField(
        help_text="All doses of the period, including future ones of the present schedules."
    )
    goal_met = serializers.BooleanField(help_text="The target is not 0, and as many doses were taken.")
