from datetime import date, timedelta

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing import examples
from dosing.adherence import GroupBy, PeriodLength
from dosing.reports import progress, report
from dosing.serializers import (
    AdherenceOutput,
    AdherenceQuery,
    CurrentAdherenceOutput,
    CurrentAdherenceQuery,
)
from dosing.views.spans import check_span
from medtrack.http.openapi import documented
from medtrack.http.requests import validated_query
from medtrack.http.responses import serialized
from users.authentication import caller


class Adherence(APIView):
    @documented(
        "getAdherence",
        "Read adherence over a range of dates",
        tags=["adherence"],
        parameters=[AdherenceQuery],
        responses=AdherenceOutput,
        description="How well the doses of the log dates from `from` (29 days before `to` by default) to `to` (today by "
        "default) were answered, both inclusive and at most 400 days. By day, week or month every period of "
        "the range is there, clipped to it, also when nothing was due. By medication there is one result for "
        "each that had a due dose, deleted ones too, by name.",
    )
    def get(self, request: Request) -> Response:
        user, now = caller(request), timezone.now()
        asked = validated_query(AdherenceQuery, request)
        last: date = asked.get("to") or now.astimezone(user.zone).date()
        first: date = asked.get("from") or last - timedelta(days=29)
        check_span(first, last)
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
        return Response(serialized(AdherenceOutput, answer))


class CurrentAdherence(APIView):
    @documented(
        "getCurrentAdherence",
        "Read how today or this week goes",
        tags=["adherence"],
        parameters=[CurrentAdherenceQuery],
        responses=CurrentAdherenceOutput,
        response_example=examples.PROGRESS,
    )
    def get(self, request: Request) -> Response:
        length = PeriodLength(validated_query(CurrentAdherenceQuery, request)["period"])
        found = progress(caller(request), length, now=timezone.now())
        return Response(serialized(CurrentAdherenceOutput, found))
