from datetime import date, timedelta
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing.actions import schedules
from dosing.actions.clones import clone_medication
from dosing.models import Schedule
from dosing.planning import rule_of
from dosing.previews import preview
from dosing.querysets import ScheduleQuerySet
from dosing.schedule_rules import check
from dosing.serializers import (
    ChangedProfileOutput,
    MoveOutput,
    NewScheduleInput,
    PreviewOutput,
    ScheduleInput,
    ScheduleOutput,
    SpanQuery,
)
from dosing.views.spans import check_span
from medications import views as medication_views
from medications.serializers import CloneInput, MedicationOutput
from medications.views import visible_medication
from medtrack.database.clock import database_now
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.lists import ListView
from medtrack.http.pagination import Pagination
from medtrack.http.requests import queried, validated
from medtrack.http.responses import shown
from users import views as user_views
from users.authentication import caller
from users.serializers import ProfileInput, UserOutput


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
        check_span(first, last)
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


def _schedule(request: Request, schedule_id: UUID) -> Schedule:
    schedule: Schedule = get_object_or_404(Schedule.objects.visible_to(caller(request)), id=schedule_id)
    return schedule
