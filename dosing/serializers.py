from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from dosing.adherence import GroupBy, PeriodLength
from dosing.cycle_schemas import CYCLE_VALUE, DESCRIPTION
from dosing.models import DoseLog, Schedule
from dosing.offline import EVENT_ACTIONS, EventStatus
from dosing.status import (
    SHOWN_STATUSES,
    UPCOMING_STATUSES,
    DoseStatus,
    Flag,
    Notice,
    NotPlannedReason,
    RecordedAs,
)
from medications.models import Medication
from medtrack.http.fields import (
    CalendarDateField,
    IdField,
    InstantField,
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


class AdherenceMedicationOutput(serializers.ModelSerializer[Medication]):
    class Meta:
        model = Medication
        fields = ["id", "name", "dosage", "color_tag"]
        read_only_fields = fields


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


class EventHead(serializers.Serializer[Any]):
    event_id = IdField()
    action = serializers.ChoiceField(EVENT_ACTIONS)
    occurred_at = InstantField(required=False, help_text="Now by default.")


class DoseEventHead(EventHead):
    dose_id = IdField()


class EventInput(EventHead, AmendInput, SnoozeInput, TakeInput, UndoInput, IntakeInput):
    """The fields of all events: each event has those of the operation that its action names."""

    takes_unknown_fields = True  # An intake that was made offline must not be lost by them.

    id = IdField(
        required=False, help_text="Of `intake`: the id of the new dose, by default that of the event."
    )
    dose_id = IdField(required=False, help_text="Required, except for `intake`.")
    medication_id = IdField(required=False, help_text="Required for `intake`.")


@extend_schema_field(EventInput)
class AnyEventField(serializers.JSONField):
    """Any JSON value, because an event that is not valid must not make the others fail."""


class EventsInput(serializers.Serializer[Any]):
    events = serializers.ListField(child=AnyEventField(allow_null=True), max_length=500)


@extend_schema_field({"allOf": [{"$ref": "#/components/schemas/Problem"}], "nullable": True})
class ProblemField(serializers.DictField):
    """The problem that the event would have had as a request of its own."""


class NoticeOutput(serializers.Serializer[Any]):
    code = serializers.ChoiceField(
        [notice.value for notice in Notice],
        help_text="`one_dose_or_two`: if it was a second dose, record that by logIntake.",
    )
    detail = serializers.CharField(help_text="A sentence in the caller's language.")


class EventAnswerOutput(serializers.Serializer[Any]):
    event_id = serializers.UUIDField(allow_null=True, help_text="Null if it is not valid.")
    status = serializers.ChoiceField([status.value for status in EventStatus])
    dose = DoseOutput(
        allow_null=True,
        help_text="The dose after the event, or null if it was refused or the plan no longer has the dose.",
    )
    over_limit = serializers.BooleanField(help_text="For an intake, as in logIntake.")
    problem = ProblemField(allow_null=True)
    recorded_as = serializers.ChoiceField(
        [kind.value for kind in RecordedAs],
        allow_null=True,
        help_text=(
            "`intake`: the plan no longer had the dose, so it is an intake of the medication. `also_reported`: "
            "the dose was taken already, and this says something else about it. Null otherwise."
        ),
    )
    reason = serializers.ChoiceField(
        [reason.value for reason in NotPlannedReason],
        allow_null=True,
        help_text="Why the plan no longer has the dose.",
    )
    flags = serializers.ListField(
        child=serializers.ChoiceField([flag.value for flag in Flag]),
        help_text="Why the event would have been refused as a request of its own.",
    )
    notices = NoticeOutput(many=True, help_text="What the person should be asked or told.")
    ignored = serializers.ListField(
        child=serializers.CharField(), help_text="Fields of the event that its action does not have."
    )


class EventAnswersOutput(serializers.Serializer[Any]):
    results = EventAnswerOutput(many=True, help_text="A result for each event, in the same order.")


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


class SpanQuery(serializers.Serializer[Any]):
    to = CalendarDateField(required=False, help_text="The last local date.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            "from": CalendarDateField(required=False, help_text="The first local date."),
            **super().get_fields(),
        }


class HistoryQuery(SpanQuery):
    medication = IdField(required=False)
    status = serializers.ChoiceField(DoseStatus.choices, required=False)


class SpanOutput(serializers.Serializer[Any]):
    to = CalendarDateField()
    timezone = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from": CalendarDateField(), **super().get_fields()}


class ExpectedDoseOutput(serializers.Serializer[Any]):
    log_date = CalendarDateField()
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
