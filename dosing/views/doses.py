from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from dosing.actions import doses, intakes
from dosing.actions.doses import DoseResult
from dosing.days import day_of, take_planned_dose
from dosing.models import DoseLog
from dosing.offline import record_events
from dosing.serializers import (
    AmendInput,
    DayOutput,
    DayQuery,
    DoseOutput,
    EventAnswersOutput,
    EventsInput,
    HistoryOutput,
    HistoryQuery,
    IntakeInput,
    IntakeOutput,
    SkipInput,
    SnoozeInput,
    TakeInput,
    UndoInput,
)
from medtrack.database.clock import database_now
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.pagination import Key, Pagination, instant, local_date
from medtrack.http.problems import field_error
from medtrack.http.requests import LooseJSONParser, queried, validated
from medtrack.http.responses import shown
from users.authentication import SignatureOnly, caller, caller_claims, caller_session


class HistoryPages(Pagination):
    """By day, and within a day by the instant that tells it."""

    keys = (Key("log_date", local_date), Key("effective_at", instant), Key("id", UUID))


HISTORY_PARAMETERS = {"from", "to", "medication", "status", "limit", "cursor"}


class Doses(SignatureOnly, APIView):
    @extend_schema(
        operation_id="listDoses",
        parameters=[DayQuery, HistoryQuery, *HistoryPages.parameters()],
        responses=PolymorphicProxySerializer(
            "DayOrHistory", [DayOutput, HistoryOutput], resource_type_field_name=None
        ),
        description=(
            "Without parameters, or with `date`, one local day in order. With any other parameter the history, newest "
            "first in pages: of the log dates from `from` (the first there is by default) to `to` (today by default), "
            "both inclusive and however many, of one medicine, or of one status. A later `to` shows what is planned. "
            "An as-needed intake that was taken back is in neither."
        ),
    )
    def get(self, request: Request) -> Response:
        if HISTORY_PARAMETERS & request.query_params.keys():
            return _history(request)
        claims = caller_claims(request)
        day = (
            _read(queried, DayQuery, request).get("date")
            or timezone.now().astimezone(caller(request).zone).date()
        )
        return Response(day_of(claims, day))

    @extend_schema(
        operation_id="logIntake",
        request=IntakeInput,
        responses={201: IntakeOutput, 200: IntakeOutput},
        description=CREATED_ONCE,
    )
    def post(self, request: Request) -> Response:
        result = intakes.log_intake(
            by=caller(request),
            session=caller_session(request),
            now=database_now(),
            **validated(IntakeInput, request),
        )
        return Response(
            shown(DoseOutput, result.object) | {"over_limit": result.over_limit},
            status=status.HTTP_201_CREATED if result.changed else status.HTTP_200_OK,
        )


class DoseEvents(APIView):
    parser_classes = (LooseJSONParser,)

    @extend_schema(
        operation_id="recordDoseEvents",
        request=EventsInput,
        responses=EventAnswersOutput,
        description=(
            "What happened while a phone was offline, at most 500 events, each answered by itself. They count in the "
            "order in which they are sent: an `occurred_at` that disagrees is noted with the event and changes nothing "
            "about the order. An event that was recorded before, or says what is so already, is `repeated`: sending "
            "the same events again is harmless. One that is `refused` has the problem that it would have had alone. "
            "An `intake` whose `taken_at` is not said was taken at its `occurred_at`. One request of a person is "
            "recorded at a time: a second one meanwhile is 429 `EventsBusy`. After a 503 some events may have been recorded: "
            "send them all again."
        ),
    )
    def post(self, request: Request) -> Response:
        events = validated(EventsInput, request)["events"]
        answers = record_events(events=events, by=caller(request), session=caller_session(request))
        return Response(shown(EventAnswersOutput, {"results": answers}))


class TakeDose(SignatureOnly, APIView):
    @extend_schema(operation_id="takeDose", request=TakeInput, responses=DoseOutput)
    def post(self, request: Request, dose_id: UUID) -> Response:
        said = _read(validated, TakeInput, request)
        if taken := take_planned_dose(caller_claims(request), dose_id=dose_id, **said):
            return Response(taken)
        return _done(doses.take_dose, TakeInput, request, dose_id)


class SkipDose(APIView):
    @extend_schema(operation_id="skipDose", request=SkipInput, responses=DoseOutput)
    def post(self, request: Request, dose_id: UUID) -> Response:
        return _done(doses.skip_dose, SkipInput, request, dose_id)


class UndoDose(APIView):
    @extend_schema(operation_id="undoDose", request=UndoInput, responses=DoseOutput)
    def post(self, request: Request, dose_id: UUID) -> Response:
        return _done(doses.undo_dose, UndoInput, request, dose_id)


class SnoozeDose(APIView):
    @extend_schema(operation_id="snoozeDose", request=SnoozeInput, responses=DoseOutput)
    def post(self, request: Request, dose_id: UUID) -> Response:
        return _done(doses.snooze_dose, SnoozeInput, request, dose_id)


class AmendDose(APIView):
    @extend_schema(operation_id="amendDose", request=AmendInput, responses=DoseOutput)
    def post(self, request: Request, dose_id: UUID) -> Response:
        return _done(doses.amend_dose, AmendInput, request, dose_id)


def _done(
    action: Callable[..., DoseResult], serializer: type[Serializer[Any]], request: Request, dose_id: UUID
) -> Response:
    """The dose after the caller did this to it."""
    fields = validated(serializer, request)
    result = action(
        dose_id=dose_id, by=caller(request), session=caller_session(request), now=database_now(), **fields
    )
    return Response(shown(DoseOutput, result.object))


def _read(
    read: Callable[..., dict[str, Any]], serializer: type[Serializer[Any]], request: Request
) -> dict[str, Any]:
    """With SignatureOnly: what is wrong is said in the caller's language, and only if their session lives."""
    try:
        return read(serializer, request)
    except ValidationError:
        caller(request)
        return read(serializer, request)


def _history(request: Request) -> Response:
    """A page of the caller's doses, newest first."""
    if "date" in request.query_params:
        raise field_error("date", _("A day and a span exclude each other."), code="exclusive")
    user, asked = caller(request), queried(HistoryQuery, request)
    first, last = asked.get("from"), asked.get("to")
    if first and last and last < first:
        raise field_error("to", _("The end is before the start."), code="before_start")
    doses = DoseLog.objects.visible_to(user).history(
        first=first,
        last=last or timezone.now().astimezone(user.zone).date(),
        medication_id=asked.get("medication"),
        status=asked.get("status"),
    )
    pages = HistoryPages()
    page = pages.paginate_queryset(doses, request)
    return Response(shown(HistoryOutput, pages.page(page)))
