"""Events that a phone recorded while it was offline."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from dosing.offline import EVENT_ACTIONS, EventStatus
from dosing.serializers.doses import AmendInput, DoseOutput, IntakeInput, SnoozeInput, TakeInput, UndoInput
from dosing.status import (
    Flag,
    Notice,
    NotPlannedReason,
    RecordedAs,
)
from medtrack.http.fields import (
    IdField,
    InstantField,
)


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
