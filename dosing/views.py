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

from dosing import actions, adherence
from dosing.adherence import GroupBy, PeriodLength
from dosing.models import DoseLog, Schedule
from dosing.planning import rule_of
from dosing.previews import preview
from dosing.querysets import ScheduleQuerySet
from dosing.schedule_rules import is_wanted
from dosing.serializers import (
    AdherenceOutput,
    AdherenceQuery,
    CurrentAdherenceOutput,
    CurrentAdherenceQuery,
    DayOutput,
    DayQuery,
    DoseOutput,
    NewScheduleInput,
    PreviewOutput,
    ScheduleInput,
    ScheduleOutput,
    SkipInput,
    SpanQuery,
    TakeInput,
    UndoInput,
)
from medications import views as medication_views
from medications.views import visible_medication
from medtrack.common.clock import database_now
from medtrack.common.pagination import Pagination
from medtrack.common.problems import field_error
from medtrack.common.requests import validated
from users.authentication import caller

MAX_DAYS = 400


class MedicationDetail(medication_views.MedicationDetail):
    @extend_schema(operation_id="deleteMedication", responses={204: None})
    def delete(self, request: Request, medication_id: UUID) -> Response:
        actions.delete_medication(medication=visible_medication(request, medication_id), now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


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
        fields.setdefault("start_date", now.astimezone(caller(request).zone).date())
        schedule, created = actions.create_schedule(medication=medication, now=now, **fields)
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
        updated = actions.update_schedule(schedule=schedule, changes=changes, now=database_now())
        return Response(ScheduleOutput(updated).data)

    @extend_schema(operation_id="deleteSchedule", responses={204: None})
    def delete(self, request: Request, schedule_id: UUID) -> Response:
        actions.delete_schedule(schedule=_schedule(request, schedule_id), now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class Doses(APIView):
    @extend_schema(
        operation_id="listDoses",
        parameters=[OpenApiParameter("date", str, description="Local date, YYYY-MM-DD; today by default.")],
        responses=DayOutput,
    )
    def get(self, request: Request) -> Response:
        query = DayQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        user = caller(request)
        day = query.validated_data.get("date") or timezone.now().astimezone(user.zone).date()
        doses = DoseLog.objects.visible_to(user).on(day)
        return Response(DayOutput({"date": day, "timezone": user.timezone, "results": doses}).data)


class TakeDose(APIView):
    @extend_schema(operation_id="takeDose", request=TakeInput, responses=DoseOutput)
    def post(self, request: Request, dose_id: UUID) -> Response:
        fields = validated(TakeInput, request)
        dose = actions.take_dose(dose_id=dose_id, by=caller(request), now=timezone.now(), **fields)
        return Response(DoseOutput(dose).data)


class SkipDose(APIView):
    @extend_schema(operation_id="skipDose", request=SkipInput, responses=DoseOutput)
    def post(self, request: Request, dose_id: UUID) -> Response:
        fields = validated(SkipInput, request)
        dose = actions.skip_dose(dose_id=dose_id, by=caller(request), now=timezone.now(), **fields)
        return Response(DoseOutput(dose).data)


class UndoDose(APIView):
    @extend_schema(operation_id="undoDose", request=UndoInput, responses=DoseOutput)
    def post(self, request: Request, dose_id: UUID) -> Response:
        fields = validated(UndoInput, request)
        dose = actions.undo_dose(dose_id=dose_id, by=caller(request), now=timezone.now(), **fields)
        return Response(DoseOutput(dose).data)


def _schedule(request: Request, schedule_id: UUID) -> Schedule:
    schedule: Schedule = get_object_or_404(Schedule.objects.visible_to(caller(request)), id=schedule_id)
    return schedule


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
        asked = _query(SpanQuery, request)
        first: date = asked.get("from") or timezone.now().astimezone(user.zone).date()
        last: date = asked.get("to") or first + timedelta(days=30)
        _check_span(first, last)
        found = preview(rule_of(schedule), zone=user.zone, first=first, last=last)
        answer = {
            "schedule_id": schedule.id,
            "timezone": user.timezone,
            "from": first,
            "to": last,
            "is_active": is_wanted(schedule),
            "results": found.results,
            "warnings": found.warnings,
        }
        return Response(PreviewOutput(answer).data)


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
        asked = _query(AdherenceQuery, request)
        last: date = asked.get("to") or now.astimezone(user.zone).date()
        first: date = asked.get("from") or last - timedelta(days=29)
        _check_span(first, last)
        group_by = GroupBy(asked["group_by"])
        counted = DoseLog.objects.visible_to(user).counted(first, last, now=now)
        if group_by == GroupBy.MEDICATION:
            rows = list(counted.figures_by_medication())
            results = adherence.by_medication(rows)
        else:
            rows = list(counted.figures_by("log_date"))
            periods = adherence.periods(group_by, first, last, week_start=user.week_start)
            results = adherence.by_period(rows, periods)
        answer = {
            "from": first,
            "to": last,
            "timezone": user.timezone,
            "group_by": group_by,
            "total": adherence.total(rows),
            "results": results,
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
        user, now = caller(request), timezone.now()
        length = PeriodLength(_query(CurrentAdherenceQuery, request)["period"])
        today = now.astimezone(user.zone).date()
        period = adherence.period_around(today, length, week_start=user.week_start)
        due = taken = target = 0
        for schedule in Schedule.objects.with_doses_of(user, *period, now=now):
            due += schedule.due
            taken += schedule.taken
            target += schedule.planned
            if schedule.next_due_at and not schedule.plan_error and is_wanted(schedule):
                target += adherence.not_planned_yet(
                    rule_of(schedule),
                    zone=user.zone,
                    next_due_at=schedule.next_due_at,
                    period=period,
                    planned_on=schedule.planned_on or (),
                )
        answer = {
            "period": length,
            "period_start": period.start,
            "period_end": period.end,
            "due": due,
            "taken": taken,
            "target": target,
            "goal_met": 0 < target <= taken,
        }
        return Response(CurrentAdherenceOutput(answer).data)


def _query(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The query's fields as the serializer understands them. Raises ValidationError naming the fields."""
    checked = serializer(data=request.query_params)
    checked.is_valid(raise_exception=True)
    fields: dict[str, Any] = checked.validated_data
    return fields


def _check_span(first: date, last: date) -> None:
    if last < first:
        raise field_error("to", _("The end is before the start."), code="before_start")
    if (last - first).days >= MAX_DAYS:
        raise field_error("to", _("At most %(days)s days at a time.") % {"days": MAX_DAYS}, code="too_long")
