from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from dosing.actions import doses, intakes, schedules
from dosing.actions.clones import clone_medication
from dosing.adherence import GroupBy, PeriodLength
from dosing.days import day_of, take_planned_dose
from dosing.models import DoseLog, Schedule
from dosing.offline import record_events
from dosing.planning import rule_of
from dosing.previews import preview
from dosing.querysets import ScheduleQuerySet
from dosing.reports import progress, report
from dosing.schedule_rules import check
from dosing.serializers import (
    AdherenceOutput,
    AdherenceQuery,
    AmendInput,
    ChangedProfileOutput,
    CurrentAdherenceOutput,
    CurrentAdherenceQuery,
    DayOutput,
    DayQuery,
    DoseOutput,
    EventAnswersOutput,
    EventsInput,
    HistoryOutput,
    HistoryQuery,
    IntakeInput,
    MoveOutput,
    NewScheduleInput,
    PreviewOutput,
    ScheduleInput,
    ScheduleOutput,
    SkipInput,
    SnoozeInput,
    SpanQuery,
    TakeInput,
    UndoInput,
)
from medications import views as medication_views
from medications.serializers import CloneInput, MedicationOutput
from medications.views import visible_medication
from medtrack.common.answers import shown
from medtrack.common.clock import database_now
from medtrack.common.creation import CREATED_ONCE
from medtrack.common.lists import ListView
from medtrack.common.pagination import Key, Pagination, instant, local_date
from medtrack.common.problems import field_error
from medtrack.common.requests import LooseJSONParser, queried, validated
from users import views as user_views
from users.authentication import SignatureOnly, caller, caller_claims, caller_session
from users.serializers import ProfileInput, UserOutput

MAX_DAYS = 400


class HistoryPages(Pagination):
    """By day, and within a day by the instant that tells it."""

    keys = (Key("log_date", local_date), Key("lived_at", instant), Key("id", UUID))


HISTORY_PARAMETERS = {"from", "to", "medication", "status", "limit", "cursor"}


class MedicationDetail(medication_views.MedicationDetail):
    @extend_schema(operation_id="deleteMedication", responses={204: None})
    def delete(self, request: Request, medication_id: UUID) -> Response:
        medication = visible_medication(request, medication_id)
        schedules.delete_medication(medication=medication, now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class PauseMedication(APIView):
    @extend_schema(operation_id="pauseMedication", request=None, responses=MedicationOutput)
    def post(self, request: Request, medication_id: UUID) -> Response:
        medication = visible_medication(request, medication_id)
        paused = schedules.pause_medication(medication=medication, now=database_now())
        return Response(shown(MedicationOutput, paused))


class ResumeMedication(APIView):
    @extend_schema(operation_id="resumeMedication", request=None, responses=MedicationOutput)
    def post(self, request: Request, medication_id: UUID) -> Response:
        medication = visible_medication(request, medication_id)
        resumed = schedules.resume_medication(medication=medication, now=database_now())
        return Response(shown(MedicationOutput, resumed))


class CloneMedication(APIView):
    @extend_schema(
        operation_id="cloneMedication",
        request=CloneInput,
        responses={201: MedicationOutput, 200: MedicationOutput},
        description=(
            "A new medication like this one, with its schedules, which begin today or when the copied ones will, and "
            "are planned before the answer returns. Not copied are schedules that are over, the stock, and a pause. "
            + CREATED_ONCE
        ),
    )
    def post(self, request: Request, medication_id: UUID) -> Response:
        clone, created = clone_medication(
            medication_id=medication_id,
            by=caller(request),
            now=database_now(),
            **validated(CloneInput, request),
        )
        return Response(
            shown(MedicationOutput, clone), status=status.HTTP_201_CREATED if created else status.HTTP_200_OK
        )


class Me(user_views.Me):
    @extend_schema(operation_id="updateMe", tags=["me"], request=ProfileInput, responses=ChangedProfileOutput)
    def patch(self, request: Request) -> Response:
        changes = validated(ProfileInput, request, partial=True)
        user, moves = schedules.update_profile(user=caller(request), changes=changes, now=database_now())
        return Response(shown(UserOutput, user) | {"moved_doses": [shown(MoveOutput, one) for one in moves]})


class MedicationSchedules(ListView[Schedule]):
    queryset = Schedule.objects.none()
    serializer_class = ScheduleOutput
    pagination_class = Pagination

    def get_queryset(self) -> ScheduleQuerySet:
        return Schedule.objects.visible_to(caller(self.request)).filter(
            medication=visible_medication(self.request, self.kwargs["medication_id"])
        )

    @extend_schema(operation_id="listSchedules", tags=["schedules"])
    def get(self, request: Request, medication_id: UUID) -> Response:
        return self.list(request)

    @extend_schema(
        operation_id="createSchedule",
        tags=["schedules"],
        request=NewScheduleInput,
        responses={201: ScheduleOutput, 200: ScheduleOutput},
        description=CREATED_ONCE,
    )
    def post(self, request: Request, medication_id: UUID) -> Response:
        now = database_now()
        medication = visible_medication(request, medication_id)
        fields = validated(NewScheduleInput, request)
        schedule, created = schedules.create_schedule(medication=medication, now=now, **fields)
        return Response(
            shown(ScheduleOutput, schedule), status=status.HTTP_201_CREATED if created else status.HTTP_200_OK
        )


class ScheduleDetail(APIView):
    @extend_schema(operation_id="getSchedule", responses=ScheduleOutput)
    def get(self, request: Request, schedule_id: UUID) -> Response:
        return Response(shown(ScheduleOutput, _schedule(request, schedule_id)))

    @extend_schema(
        operation_id="updateSchedule", request=ScheduleInput(partial=True), responses=ScheduleOutput
    )
    def patch(self, request: Request, schedule_id: UUID) -> Response:
        schedule = _schedule(request, schedule_id)
        changes = validated(ScheduleInput, request, partial=True)
        updated = schedules.update_schedule(schedule=schedule, changes=changes, now=database_now())
        return Response(shown(ScheduleOutput, updated))

    @extend_schema(operation_id="deleteSchedule", responses={204: None})
    def delete(self, request: Request, schedule_id: UUID) -> Response:
        schedules.delete_schedule(schedule=_schedule(request, schedule_id), now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class SchedulePreview(APIView):
    @extend_schema(
        operation_id="previewSchedule",
        tags=["schedules"],
        parameters=[SpanQuery],
        responses=PreviewOutput,
        description=(
            "The occurrences on the local dates from `from` (today by default) to `to` (30 days later by "
            "default), both inclusive and at most 400 days: what the schedule as it stands asks for, whether or "
            "not it is active. An as-needed schedule has none."
        ),
    )
    def get(self, request: Request, schedule_id: UUID) -> Response:
        user = caller(request)
        mine = Schedule.objects.visible_to(user).select_related("medication")
        schedule: Schedule = get_object_or_404(mine, id=schedule_id)
        asked = queried(SpanQuery, request)
        first: date = asked.get("from") or timezone.now().astimezone(user.zone).date()
        last: date = asked.get("to") or first + timedelta(days=30)
        _check_span(first, last)
        check(schedule)
        found = preview(rule_of(schedule), zone=user.zone, first=first, last=last)
        answer = {
            "schedule_id": schedule.id,
            "timezone": user.timezone,
            "from": first,
            "to": last,
            "is_active": schedule.is_wanted,
            "results": found.results,
            "warnings": found.warnings,
        }
        return Response(shown(PreviewOutput, answer))


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
        responses={201: DoseOutput, 200: DoseOutput},
        description=CREATED_ONCE,
    )
    def post(self, request: Request) -> Response:
        dose, created = intakes.log_intake(
            by=caller(request),
            session=caller_session(request),
            now=database_now(),
            **validated(IntakeInput, request),
        )
        return Response(
            shown(DoseOutput, dose), status=status.HTTP_201_CREATED if created else status.HTTP_200_OK
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
            "An `intake` whose `taken_at` is not said was taken at its `occurred_at`."
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


class Adherence(APIView):
    @extend_schema(
        operation_id="getAdherence",
        tags=["adherence"],
        parameters=[AdherenceQuery],
        responses=AdherenceOutput,
        description=(
            "How well the doses of the log dates from `from` (29 days before `to` by default) to `to` (today by "
            "default) were answered, both inclusive and at most 400 days. By day, week or month every period of "
            "the range is there, clipped to it, also when nothing was due. By medication there is one result for "
            "each that had a due dose, deleted ones too, by name."
        ),
    )
    def get(self, request: Request) -> Response:
        user, now = caller(request), timezone.now()
        asked = queried(AdherenceQuery, request)
        last: date = asked.get("to") or now.astimezone(user.zone).date()
        first: date = asked.get("from") or last - timedelta(days=29)
        _check_span(first, last)
        group_by = GroupBy(asked["group_by"])
        found = report(user, first, last, group_by=group_by, now=now)
        answer = {
            "from": first,
            "to": last,
            "timezone": user.timezone,
            "group_by": group_by,
            "total": found.total,
            "results": found.results,
        }
        return Response(shown(AdherenceOutput, answer))


class CurrentAdherence(APIView):
    @extend_schema(
        operation_id="getCurrentAdherence",
        tags=["adherence"],
        parameters=[CurrentAdherenceQuery],
        responses=CurrentAdherenceOutput,
    )
    def get(self, request: Request) -> Response:
        length = PeriodLength(queried(CurrentAdherenceQuery, request)["period"])
        found = progress(caller(request), length, now=timezone.now())
        return Response(shown(CurrentAdherenceOutput, found))


def _done(
    action: Callable[..., DoseLog], serializer: type[Serializer[Any]], request: Request, dose_id: UUID
) -> Response:
    """The dose after the caller did this to it."""
    fields = validated(serializer, request)
    dose = action(
        dose_id=dose_id, by=caller(request), session=caller_session(request), now=database_now(), **fields
    )
    return Response(shown(DoseOutput, dose))


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


def _check_span(first: date, last: date) -> None:
    if last < first:
        raise field_error("to", _("The end is before the start."), code="before_start")
    if (last - first).days >= MAX_DAYS:
        raise field_error("to", _("At most %(days)s days at a time.") % {"days": MAX_DAYS}, code="too_long")


def _schedule(request: Request, schedule_id: UUID) -> Schedule:
    schedule: Schedule = get_object_or_404(Schedule.objects.visible_to(caller(request)), id=schedule_id)
    return schedule
