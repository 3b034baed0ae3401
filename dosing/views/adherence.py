from datetime import date, timedelta

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing.adherence import GroupBy, PeriodLength
from dosing.reports import progress, report
from dosing.serializers import (
    AdherenceOutput,
    AdherenceQuery,
    CurrentAdherenceOutput,
    CurrentAdherenceQuery,
)
from dosing.views.spans import check_span
from medtrack.http.requests import queried
from medtrack.http.responses import shown
from users.authentication import caller


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
