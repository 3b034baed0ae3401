from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from dosing.actions import doses, intakes, schedules
from dosing.adherence import GroupBy, PeriodLength
from dosing.days import day_of, take_planned_dose
from dosing.models import DoseLog, Schedule
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
from medications.serializers import MedicationOutput
from medications.views import visible_medication
from medtrack.common.clock import database_now
from medtrack.common.pagination import Pagination
from medtrack.common.problems import field_error
from medtrack.common.requests import queried, validated
from users import views as user_views
from users.authentication import SignatureOnly, caller, caller_claims, caller_session
from users.serializers import ProfileInput, UserOutput

MAX_DAYS = 400


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
        return Response(MedicationOutput(paused).data)


class ResumeMedication(APIView):
    @extend_schema(operation_id="resumeMedication", request=None, responses=MedicationOutput)
    def post(self, request: Request, medication_id: UUID) -> Response:
        medication = visible_medication(request, medication_id)
        resumed = schedules.resume_medication(medication=medication, now=database_now())
        return Response(MedicationOutput(resumed).data)


class Me(user_views.Me):
    @extend_schema(operation_id="updateMe", tags=["me"], request=ProfileInput, responses=ChangedProfileOutput)
    def patch(self, request: Request) -> Response:
        changes = validated(ProfileInput, request, partial=True)
        user, moves = schedules.update_profile(user=caller(request), changes=changes, now=database_now())
        return Response(UserOutput(user).data | {"moved_doses": MoveOutput(moves, many=True).data})


class MedicationSchedules(ListAPIView[Schedule]):
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
    )
    def post(self, request: Request, medication_id: UUID) -> Response:
        now = database_now()
        medication = visible_medication(request, medication_id)
        fields = validated(NewScheduleInput, request)
        schedule, created = schedules.create_schedule(medication=medication, now=now, **fields)
        return Response(
            ScheduleOutput(schedule).data, status=status.HTTP_201_CREATED if created else status.HTTP_200_OK
        )


class ScheduleDetail(APIView):
    @extend_schema(operation_id="getSchedule", responses=ScheduleOutput)
    def get(self, request: Request, schedule_id: UUID) -> Response:
        return Response(ScheduleOutput(_schedule(request, schedule_id)).data)

    @extend_schema(
        operation_id="updateSchedule", request=ScheduleInput(partial=True), responses=ScheduleOutput
    )
    def patch(self, request: Request, schedule_id: UUID) -> Response:
        schedule = _schedule(request, schedule_id)
        changes = validated(ScheduleInput, request, partial=True)
        updated = schedules.update_schedule(schedule=schedule, changes=changes, now=database_now())
        return Response(ScheduleOutput(updated).data)

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
        return Response(PreviewOutput(answer).data)


class Doses(SignatureOnly, APIView):
    @extend_schema(
        operation_id="listDoses",
        parameters=[OpenApiParameter("date", str, description="Local date, YYYY-MM-DD; today by default.")],
        responses=DayOutput,
    )
    def get(self, request: Request) -> Response:
        day = queried(DayQuery, request).get("date")
        return Response(day_of(caller_claims(request), day, now=timezone.now()))

    @extend_schema(
        operation_id="logIntake", request=IntakeInput, responses={201: DoseOutput, 200: DoseOutput}
    )
    def post(self, request: Request) -> Response:
        dose, created = intakes.log_intake(
            by=caller(request), now=timezone.now(), **validated(IntakeInput, request)
        )
        return Response(
            DoseOutput(dose).data, status=status.HTTP_201_CREATED if created else status.HTTP_200_OK
        )


class TakeDose(SignatureOnly, APIView):
    @extend_schema(operation_id="takeDose", request=TakeInput, responses=DoseOutput)
    def post(self, request: Request, dose_id: UUID) -> Response:
        said = validated(TakeInput, request)
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
        return Response(AdherenceOutput(answer).data)


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
        return Response(CurrentAdherenceOutput(found).data)


def _done(
    action: Callable[..., DoseLog], serializer: type[Serializer[Any]], request: Request, dose_id: UUID
) -> Response:
    """The dose after the caller did this to it."""
    fields = validated(serializer, request)
    dose = action(
        dose_id=dose_id, by=caller(request), session=caller_session(request), now=timezone.now(), **fields
    )
    return Response(DoseOutput(dose).data)


def _check_span(first: date, last: date) -> None:
    if last < first:
        raise field_error("to", _("The end is before the start."), code="before_start")
    if (last - first).days >= MAX_DAYS:
        raise field_error("to", _("At most %(days)s days at a time.") % {"days": MAX_DAYS}, code="too_long")


def _schedule(request: Request, schedule_id: UUID) -> Schedule:
    schedule: Schedule = get_object_or_404(Schedule.objects.visible_to(caller(request)), id=schedule_id)
    return schedule
