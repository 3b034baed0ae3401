from uuid import UUID

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing.actions.trips import MAX_TRIPS, TripsOverlap, create_trip, delete_trip
from medtrack.database.clock import database_now
from medtrack.database.unique_ids import CREATED_ONCE
from medtrack.http.openapi import documented
from medtrack.http.problems import IdConflict
from medtrack.http.requests import validated_body
from medtrack.http.responses import created, serialized
from users import examples
from users.authentication import caller
from users.models import Trip
from users.rates import TooManyEdits
from users.serializers import TripInput, TripOutput, TripsOutput


class Trips(APIView):
    @documented(
        "listTrips",
        "List my trips, newest first",
        tags=["me"],
        responses=TripsOutput,
        description=f"The {MAX_TRIPS} trips that start last.",
    )
    def get(self, request: Request) -> Response:
        trips = Trip.objects.filter(user=caller(request)).order_by("-starts_at", "-id")[:MAX_TRIPS]
        return Response({"results": [serialized(TripOutput, trip) for trip in trips]})

    @documented(
        "createTrip",
        "Plan a trip: my time zone changes by itself",
        IdConflict,
        TripsOverlap,
        TooManyEdits,
        tags=["me"],
        request=TripInput,
        responses={201: TripOutput, 200: TripOutput},
        description=(
            "The time zone changes within a minute of `starts_at`, and returns to the one before at `ends_at`, "
            "unless it was changed by hand meanwhile. Previews show it. Trips may not overlap. "
            + CREATED_ONCE
        ),
        request_example=examples.TRIP,
    )
    def post(self, request: Request) -> Response:
        now = database_now()
        fields = validated_body(TripInput, request, output=TripOutput)
        result = create_trip(by=caller(request), now=now, **fields)
        return created(TripOutput, result.object, result.changed)


class TripDetail(APIView):
    @documented(
        "deleteTrip",
        "Take a trip back; one that has started ends now",
        TooManyEdits,
        tags=["me"],
        responses={204: None},
    )
    def delete(self, request: Request, trip_id: UUID) -> Response:
        delete_trip(trip_id=trip_id, by=caller(request), now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)
