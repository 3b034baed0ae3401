from datetime import date, timedelta

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
from medtrack.database.clock import process_now
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
        description=(
            "How well the doses of the log dates from `from` (by default 29 days before `to`) to `to` (by "
            "default today) were answered, both inclusive and at most 400 days. By day, week or month there "
            "is a result for every period of the range, also if no dose was due; the first and last period "
            "may be cut short. By medication there is a result for each medication with a due dose, deleted "
            "ones included, ordered by name."
        ),
    )
    def get(self, request: Request) -> Response:
        user, now = caller(request), process_now()
        query = validated_query(AdherenceQuery, request)
        last: date = query.get("to") or now.astimezone(user.zone).date()
        first: date = query.get("from") or last - timedelta(days=29)
        check_span(first, last)
        group_by = GroupBy(query["group_by"])
        result = report(user, first, last, group_by=group_by, now=now)
        answer = {
            "from": first,
            "to": last,
            "timezone": user.timezone,
            "group_by": group_by,
            "total": result.total,
            "results": result.results,
        }
        return Response(serialized(AdherenceOutput, answer))


class CurrentAdherence(APIView):
    @documented(
        "getCurrentAdherence",
        "Read the progress of today or this week",
        tags=["adherence"],
        parameters=[CurrentAdherenceQuery],
        responses=CurrentAdherenceOutput,
        response_example=examples.PROGRESS,
    )
    def get(self, request: Request) -> Response:
        length = PeriodLength(validated_query(CurrentAdherenceQuery, request)["period"])
        result = progress(caller(request), length, now=process_now())
        return Response(serialized(CurrentAdherenceOutput, result))
