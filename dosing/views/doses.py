from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from dosing import examples
from dosing.actions import doses, intakes
from dosing.actions.doses import DoseResult
from dosing.as_needed import DailyLimitReached, IntakeTooSoon
from dosing.days import day_of, take_planned_dose
from dosing.earliness import TooEarly
from dosing.models import DoseLog
from dosing.refusals import AlreadyRecorded, InvalidTransition
from dosing.schedule_rules import check_order
from dosing.serializers import (
    AmendInput,
    DayOutput,
    DayQuery,
    DoseOutput,
    HistoryOutput,
    HistoryQuery,
    IntakeInput,
    IntakeOutput,
    SkipInput,
    SnoozeInput,
    TakeInput,
    UndoInput,
    UpcomingDoseOutput,
    UpcomingOutput,
    UpcomingQuery,
)
from dosing.upcoming import find_dose, upcoming
from medtrack.database.clock import database_now, process_now
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.openapi import documented
from medtrack.http.pagination import Key, Pagination, instant, local_date
from medtrack.http.problems import IdConflict, field_error
from medtrack.http.requests import validated_body, validated_query
from medtrack.http.responses import created, serialized
from users.authentication import SignatureOnly, caller, caller_claims, caller_session


class HistoryPages(Pagination):
    """Ordered by date, and within a date by when a dose was due or an intake was taken."""

    keys = (Key("log_date", local_date), Key("effective_at", instant), Key("id", UUID))


HISTORY_PARAMETERS = {"from", "to", "medication", "status", "limit", "cursor"}


class Doses(SignatureOnly, APIView):
    @documented(
        "listDoses",
        "List the doses of a local day, or the history",
        parameters=[DayQuery, HistoryQuery, *HistoryPages.parameters()],
        responses=PolymorphicProxySerializer(
            "DayOrHistory", [DayOutput, HistoryOutput], resource_type_field_name=None
        ),
        description=(
            "Without parameters, or with `date`, the doses of one local day, earliest first, also those that "
            "are not written yet (`planned`). A dose of another date that was taken on this day, in the "
            "user's present time zone, is there too, with `also_on`; it counts on its own date. With any "
            "other parameter the history in pages, newest first: the log dates from `from` (by default the "
            "first one) to `to` (by default today), both inclusive and without a limit, of one medication or "
            "of one status. A later `to` includes doses to come, as far as they are written. An as-needed "
            "intake that was undone is in neither."
        ),
        response_example=examples.DAY,
    )
    def get(self, request: Request) -> Response:
        if HISTORY_PARAMETERS & request.query_params.keys():
            return _history(request)
        claims, now = caller_claims(request), process_now()
        day = (
            _read(validated_query, DayQuery, request).get("date")
            or now.astimezone(caller(request).zone).date()
        )
        return Response(day_of(claims, day, now=now))

    @documented(
        "logIntake",
        "Record an as-needed intake",
        NotFound,
        IdConflict,
        IntakeTooSoon,
        DailyLimitReached,
        request=IntakeInput,
        responses={201: IntakeOutput, 200: IntakeOutput},
        description=CREATED_ONCE,
        request_example=examples.INTAKE,
        response_example=examples.TAKEN_INTAKE,
    )
    def post(self, request: Request) -> Response:
        result = intakes.log_intake(
            by=caller(request),
            session=caller_session(request),
            now=database_now(),
            **validated_body(IntakeInput, request),
        )
        return created(DoseOutput, result.object, result.changed, over_limit=result.over_limit)


class UpcomingDoses(APIView):
    @documented(
        "listUpcomingDoses",
        "List the doses to come, for the phone's own alarms",
        parameters=[UpcomingQuery],
        responses=UpcomingOutput,
        description=(
            "The doses that are open now or due later, up to the end of the local date `days` days from today, "
            "earliest first, at most 1,000. Doses that are not written yet (`planned`) have the id with which "
            "they will be. The ETag changes when the list does."
        ),
        response_example=examples.UPCOMING,
    )
    def get(self, request: Request) -> Response:
        user = caller(request)
        found = upcoming(user, days=validated_query(UpcomingQuery, request)["days"], now=process_now())
        results = [
            serialized(UpcomingDoseOutput, dose) | {"tag": found.tags.get(dose.id)} for dose in found.doses
        ]
        return Response(
            {
                "to": found.to,
                "timezone": user.timezone,
                "truncated": found.is_truncated,
                "results": results,
            }
        )


class DoseDetail(APIView):
    @documented(
        "getDose",
        "Read a dose",
        responses=DoseOutput,
        description="Also one that is not written yet (`planned`): its id is known before.",
        response_example=examples.DOSE,
    )
    def get(self, request: Request, dose_id: UUID) -> Response:
        dose = find_dose(caller(request), dose_id)
        if dose is None:
            raise NotFound
        return Response(serialized(DoseOutput, dose))


class TakeDose(SignatureOnly, APIView):
    @documented(
        "takeDose",
        "Record that a dose was taken",
        IdConflict,
        InvalidTransition,
        AlreadyRecorded,
        TooEarly,
        IntakeTooSoon,
        DailyLimitReached,
        request=TakeInput,
        responses=DoseOutput,
        description=(
            "Also of a dose that is not written yet, and of one that was skipped or missed. Before its due "
            "instant a dose is too early by more than half the schedule's usual gap, and within half the gap of "
            "the schedule's last intake, unless `override` is sent. A repeat is the same `event_id`; or the same "
            "person, no other quantity or note, and `occurred_at` left out or at most 15 minutes from when the "
            "dose was taken. Anything else about a dose that was taken is 409 `AlreadyRecorded`: `amendDose` "
            "corrects it."
        ),
        request_example=examples.TAKE,
        response_example=examples.TAKEN_DOSE,
    )
    def post(self, request: Request, dose_id: UUID) -> Response:
        fields = _read(validated_body, TakeInput, request)
        # A pending planned dose is taken by one statement, which also checks the session.
        if taken := take_planned_dose(caller_claims(request), dose_id=dose_id, **fields):
            return Response(taken)
        return _record(doses.take_dose, TakeInput, request, dose_id)


class SkipDose(APIView):
    @documented(
        "skipDose",
        "Record that a dose was skipped",
        IdConflict,
        InvalidTransition,
        AlreadyRecorded,
        TooEarly,
        request=SkipInput,
        responses=DoseOutput,
        description="Also of a dose that is not written yet. One that was taken has to be undone first.",
    )
    def post(self, request: Request, dose_id: UUID) -> Response:
        return _record(doses.skip_dose, SkipInput, request, dose_id)


class UndoDose(APIView):
    @documented(
        "undoDose",
        "Take back the answer to a dose, or its snooze",
        IdConflict,
        InvalidTransition,
        request=UndoInput,
        responses=DoseOutput,
        description=(
            "The dose is pending again, at least until 23:59 of its log date and for an hour. One that the plan no "
            "longer has is withdrawn. `undoes` names the event that is taken back, by default that of the latest "
            "answer; if it is not the latest, nothing changes and the answer is the dose as it is."
        ),
    )
    def post(self, request: Request, dose_id: UUID) -> Response:
        return _record(doses.undo_dose, UndoInput, request, dose_id)


class SnoozeDose(APIView):
    @documented(
        "snoozeDose",
        "Postpone a dose's reminder",
        IdConflict,
        InvalidTransition,
        request=SnoozeInput,
        responses=DoseOutput,
        description="At least five minutes of the answer window have to remain after it.",
        request_example=examples.SNOOZE,
    )
    def post(self, request: Request, dose_id: UUID) -> Response:
        return _record(doses.snooze_dose, SnoozeInput, request, dose_id)


class AmendDose(APIView):
    @documented(
        "amendDose",
        "Correct the details of an answer",
        IdConflict,
        InvalidTransition,
        TooEarly,
        IntakeTooSoon,
        DailyLimitReached,
        request=AmendInput,
        responses=DoseOutput,
        description="It keeps the limits that taking the dose keeps.",
    )
    def post(self, request: Request, dose_id: UUID) -> Response:
        return _record(doses.amend_dose, AmendInput, request, dose_id)


def _record(
    action: Callable[..., DoseResult], serializer: type[Serializer[Any]], request: Request, dose_id: UUID
) -> Response:
    fields = validated_body(serializer, request)
    result = action(
        dose_id=dose_id, by=caller(request), session=caller_session(request), now=database_now(), **fields
    )
    return Response(serialized(DoseOutput, result.object))


def _read(
    read: Callable[..., dict[str, Any]], serializer: type[Serializer[Any]], request: Request
) -> dict[str, Any]:
    # With SignatureOnly the session is read only here: an error is in the caller's language, and a session
    # that has ended is refused first.
    try:
        return read(serializer, request)
    except ValidationError:
        caller(request)
        return read(serializer, request)


def _history(request: Request) -> Response:
    if "date" in request.query_params:
        raise field_error("date", _("Send either a date or a range of dates."), code="exclusive")
    user, query = caller(request), validated_query(HistoryQuery, request)
    first, last = query.get("from"), query.get("to")
    if first and last:
        check_order(first, last, field="to")
    doses = DoseLog.objects.visible_to(user).history(
        first=first,
        last=last or process_now().astimezone(user.zone).date(),
        medication_id=query.get("medication"),
        status=query.get("status"),
    )
    pages = HistoryPages()
    page = pages.paginate_queryset(doses, request)
    return Response(serialized(HistoryOutput, pages.page(page)))
