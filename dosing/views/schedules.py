from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing import examples
from dosing.actions import schedules
from dosing.models import Schedule
from dosing.planning import rule_of
from dosing.previews import preview
from dosing.querysets import ScheduleQuerySet
from dosing.schedule_rules import check
from dosing.schedule_warnings import warnings_of
from dosing.serializers import (
    NewScheduleInput,
    PreviewOutput,
    ScheduleInput,
    ScheduleOutput,
    ScheduleWarningOutput,
    SpanQuery,
    WrittenScheduleOutput,
)
from dosing.views.medications import visible_medication
from dosing.views.spans import check_span
from medtrack.database.clock import database_now, process_now
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.lists import ListView
from medtrack.http.openapi import documented
from medtrack.http.pagination import Pagination
from medtrack.http.person_limits import LimitReached
from medtrack.http.problems import IdConflict
from medtrack.http.requests import validated_body, validated_query
from medtrack.http.responses import created, serialized
from users.authentication import caller
from users.rates import TooManyEdits


class MedicationSchedules(ListView[Schedule]):
    queryset = Schedule.objects.none()
    serializer_class = ScheduleOutput
    pagination_class = Pagination

    def get_queryset(self) -> ScheduleQuerySet:
        return Schedule.objects.visible_to(caller(self.request)).filter(
            medication=visible_medication(self.request, self.kwargs["medication_id"])
        )

    @documented("listSchedules", "List a medication's schedules, newest first", tags=["schedules"])
    def get(self, request: Request, medication_id: UUID) -> Response:
        return self.list(request)

    @documented(
        "createSchedule",
        "Add a schedule and plan its doses",
        IdConflict,
        LimitReached,
        TooManyEdits,
        tags=["schedules"],
        request=NewScheduleInput,
        responses={201: WrittenScheduleOutput, 200: WrittenScheduleOutput},
        description=CREATED_ONCE,
        request_example=examples.NEW_SCHEDULE,
        response_example=examples.WRITTEN_SCHEDULE,
    )
    def post(self, request: Request, medication_id: UUID) -> Response:
        now = database_now()
        # 404 for the path comes before 400 for the body.
        visible_medication(request, medication_id)
        fields = validated_body(NewScheduleInput, request)
        result = schedules.create_schedule(medication_id=medication_id, by=caller(request), now=now, **fields)
        return created(ScheduleOutput, result.object, result.changed, warnings=_warned(result.object, now))


class ScheduleDetail(APIView):
    @documented(
        "getSchedule", "Read a schedule", responses=ScheduleOutput, response_example=examples.SCHEDULE
    )
    def get(self, request: Request, schedule_id: UUID) -> Response:
        return Response(serialized(ScheduleOutput, _schedule(request, schedule_id)))

    @documented(
        "updateSchedule",
        "Change a schedule and re-plan its future doses",
        TooManyEdits,
        request=ScheduleInput(partial=True),
        responses=WrittenScheduleOutput,
    )
    def patch(self, request: Request, schedule_id: UUID) -> Response:
        # 404 for the path comes before 400 for the body.
        _schedule(request, schedule_id)
        changes = validated_body(ScheduleInput, request, partial=True)
        now = database_now()
        result = schedules.update_schedule(
            schedule_id=schedule_id, by=caller(request), changes=changes, now=now
        )
        warnings = {"warnings": _warned(result.object, now)}
        return Response(serialized(ScheduleOutput, result.object) | warnings)

    @documented("deleteSchedule", "Delete a schedule; its history stays", TooManyEdits, responses={204: None})
    def delete(self, request: Request, schedule_id: UUID) -> Response:
        schedules.delete_schedule(schedule_id=schedule_id, by=caller(request), now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class SchedulePreview(APIView):
    @documented(
        "previewSchedule",
        "Preview the doses of a schedule",
        tags=["schedules"],
        parameters=[SpanQuery],
        responses=PreviewOutput,
        description=(
            "The doses of the schedule on the local dates from `from` (by default today) to `to` (by default "
            "30 days later), both inclusive and at most 400 days, whether or not the schedule is active. An "
            "as-needed schedule has none."
        ),
    )
    def get(self, request: Request, schedule_id: UUID) -> Response:
        user = caller(request)
        mine = Schedule.objects.visible_to(user).select_related("medication")
        schedule: Schedule = get_object_or_404(mine, id=schedule_id)
        query = validated_query(SpanQuery, request)
        first: date = query.get("from") or process_now().astimezone(user.zone).date()
        last: date = query.get("to") or first + timedelta(days=30)
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
        return Response(serialized(PreviewOutput, answer))


def _warned(schedule: Schedule, now: datetime) -> list[Any]:
    return [serialized(ScheduleWarningOutput, warning) for warning in warnings_of(schedule, now=now)]


def _schedule(request: Request, schedule_id: UUID) -> Schedule:
    schedule: Schedule = get_object_or_404(Schedule.objects.visible_to(caller(request)), id=schedule_id)
    return schedule
