from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing import examples
from dosing.actions import schedules
from dosing.dose_ids import dose_id
from dosing.models import Schedule
from dosing.previews import preview_of, preview_since
from dosing.querysets import ScheduleQuerySet
from dosing.schedule_rules import check
from dosing.schedule_warnings import warnings_of
from dosing.serializers import (
    NewScheduleInput,
    PreviewOutput,
    ScheduleChanges,
    ScheduleOutput,
    SchedulesQuery,
    ScheduleWarningOutput,
    SpanQuery,
    WrittenScheduleOutput,
)
from dosing.upcoming import next_due
from dosing.views.medications import visible_medication
from dosing.views.spans import check_span
from dosing.zone_changes import clock_of, histories, occurrences_ahead, zone_changes_ahead
from medtrack.database.clock import database_now, process_now
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.lists import ListView
from medtrack.http.openapi import documented
from medtrack.http.pagination import Pagination
from medtrack.http.person_limits import LimitReached
from medtrack.http.preconditions import IF_MATCH, Changed, Versioned, allowed_versions
from medtrack.http.problems import IdConflict
from medtrack.http.requests import validated_body, validated_query
from medtrack.http.responses import created, serialized
from users.authentication import caller
from users.models import User
from users.rates import TooManyEdits


class ListOfSchedules(ListView[Schedule]):
    queryset = Schedule.objects.none()
    serializer_class = ScheduleOutput
    pagination_class = Pagination

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(_outputs(caller(request), page, now=process_now()))


class Schedules(ListOfSchedules):
    def get_queryset(self) -> ScheduleQuerySet:
        asked = validated_query(SchedulesQuery, self.request)
        filters = {"medication_id": asked.get("medication"), "is_active": asked.get("is_active")}
        mine = Schedule.objects.visible_to(caller(self.request)).select_related("medication")
        return mine.filter(**{name: value for name, value in filters.items() if value is not None})

    @documented(
        "listAllSchedules",
        "List the schedules of all my medications, newest first",
        tags=["schedules"],
        parameters=[SchedulesQuery],
    )
    def get(self, request: Request) -> Response:
        return self.list(request)


class MedicationSchedules(ListOfSchedules):
    def get_queryset(self) -> ScheduleQuerySet:
        mine = Schedule.objects.visible_to(caller(self.request)).select_related("medication")
        return mine.filter(medication=visible_medication(self.request, self.kwargs["medication_id"]))

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
        fields = validated_body(NewScheduleInput, request, output=ScheduleOutput)
        result = schedules.create_schedule(medication_id=medication_id, by=caller(request), now=now, **fields)
        shown = _written(caller(request), result.object, now=now)
        return created(ScheduleOutput, result.object, result.changed, **shown)


class ScheduleDetail(APIView):
    @documented(
        "getSchedule", "Read a schedule", responses=ScheduleOutput, response_example=examples.SCHEDULE
    )
    def get(self, request: Request, schedule_id: UUID) -> Response:
        schedule = _schedule(request, schedule_id)
        return Versioned(_outputs(caller(request), [schedule], now=process_now())[0])

    @documented(
        "updateSchedule",
        "Change a schedule and re-plan its future doses",
        Changed,
        TooManyEdits,
        request=ScheduleChanges(partial=True),
        responses=WrittenScheduleOutput,
        parameters=[IF_MATCH],
    )
    def patch(self, request: Request, schedule_id: UUID) -> Response:
        # 404 for the path comes before 400 for the body.
        present = _schedule(request, schedule_id)
        changes = validated_body(
            ScheduleChanges, request, partial=True, output=ScheduleOutput, present=present
        )
        allowed = allowed_versions(request, version=changes.pop("version", None))
        now = database_now()
        result = schedules.update_schedule(
            schedule_id=schedule_id, by=caller(request), changes=changes, now=now, allowed_versions=allowed
        )
        shown = _written(caller(request), result.object, now=now)
        return Versioned(serialized(ScheduleOutput, result.object) | shown)

    @documented(
        "deleteSchedule",
        "Delete a schedule; its history stays",
        ValidationError,
        Changed,
        TooManyEdits,
        responses={204: None},
        parameters=[IF_MATCH],
    )
    def delete(self, request: Request, schedule_id: UUID) -> Response:
        schedules.delete_schedule(
            schedule_id=schedule_id,
            by=caller(request),
            now=database_now(),
            allowed_versions=allowed_versions(request),
        )
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
            "as-needed schedule has none. Trips are part of it: `due_at_local` is in the zone that the user is in "
            "then."
        ),
    )
    def get(self, request: Request, schedule_id: UUID) -> Response:
        user = caller(request)
        mine = Schedule.objects.visible_to(user).select_related("medication__user")
        schedule: Schedule = get_object_or_404(mine, id=schedule_id)
        query = validated_query(SpanQuery, request)
        now = process_now()
        check(schedule)
        clock = clock_of(schedule)
        first: date = query.get("from") or now.astimezone(clock.zone).date()
        last: date = query.get("to") or first + timedelta(days=30)
        check_span(first, last)
        history = histories([schedule.id], user=user, now=now)[schedule.id]
        ahead = occurrences_ahead(
            schedule,
            since=preview_since(clock.rule, zone=clock.zone, first=first),
            changes=zone_changes_ahead(user, now),
            history=history,
        )
        found = preview_of(ahead, rule=clock.rule, first=first, last=last, last_due=history.last)
        answer = {
            "schedule_id": schedule.id,
            "timezone": clock.zone.key,
            "from": first,
            "to": last,
            "is_active": schedule.is_wanted,
            "results": [
                {"id": dose_id(schedule.id, expected.log_date, expected.ordinal), **asdict(expected)}
                for expected in found.results
            ],
            "warnings": found.warnings,
        }
        return Response(serialized(PreviewOutput, answer))


def _outputs(user: User, schedules: Sequence[Schedule], *, now: datetime) -> list[dict[str, Any]]:
    """Schedules in the shape of ScheduleOutput."""
    due = next_due(user, schedules, now=now)
    return [
        serialized(ScheduleOutput, schedule) | {"next_due_at": due[schedule.id]} for schedule in schedules
    ]


def _written(user: User, schedule: Schedule, *, now: datetime) -> dict[str, Any]:
    """What WrittenScheduleOutput has besides the schedule's own fields."""
    warnings = [serialized(ScheduleWarningOutput, warning) for warning in warnings_of(schedule, now=now)]
    return {"next_due_at": next_due(user, [schedule], now=now)[schedule.id], "warnings": warnings}


def _schedule(request: Request, schedule_id: UUID) -> Schedule:
    schedule: Schedule = get_object_or_404(Schedule.objects.visible_to(caller(request)), id=schedule_id)
    return schedule
