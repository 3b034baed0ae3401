"""`/me` concerns every app: changing the time zone moves doses, and erasing reaches into all tables."""

from rest_framework import status
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dosing.actions.accounts import update_profile
from dosing.serializers import ChangedProfileOutput, MoveOutput, TravelWarningOutput
from medtrack.api.erasure import ErasureBlocked, erase_person
from medtrack.database.clock import database_now
from medtrack.http.openapi import DeletionWithBody, documented
from medtrack.http.requests import validated_body
from medtrack.http.responses import serialized
from users import examples
from users.actions.erasing import FreshLogInRequired, require_presence
from users.authentication import caller, caller_session
from users.guesses import LoginUnavailable, count_own_guess
from users.hashing import PasswordsBusy
from users.rates import TooManyEdits
from users.serializers import ErasureInput, ProfileInput, UserOutput


class Me(APIView):
    schema = DeletionWithBody()

    @documented(
        "getMe",
        "Read my profile",
        tags=["me"],
        responses=UserOutput,
        response_example=examples.USER,
    )
    def get(self, request: Request) -> Response:
        return Response(serialized(UserOutput, caller(request)))

    @documented(
        "updateMe",
        "Change my profile",
        TooManyEdits,
        tags=["me"],
        request=ProfileInput,
        responses=ChangedProfileOutput,
        description=(
            "Another time zone moves doses to come: to the first time of the new clock that is not past and at "
            "least half the usual gap, and at most 24 hours, after the last dose that was due. If that is more "
            "than one and a half usual gaps after it, the next dose stays where it is, and the new clock goes on "
            "from it. `warnings` says what may surprise. With `dry_run` nothing is changed."
        ),
    )
    def patch(self, request: Request) -> Response:
        user = caller(request)
        changes = validated_body(ProfileInput, request, partial=True, output=UserOutput, present=user)
        dry_run = changes.pop("dry_run", False)
        result = update_profile(by=user, changes=changes, now=database_now(), dry_run=dry_run)
        travel = {
            "moved_doses": [serialized(MoveOutput, move) for move in result.moves],
            "warnings": [serialized(TravelWarningOutput, warning) for warning in result.warnings],
        }
        return Response(serialized(UserOutput, result.object) | travel)

    @documented(
        "deleteMe",
        "Erase everything about me",
        FreshLogInRequired,
        ErasureBlocked,
        Throttled,
        LoginUnavailable,
        PasswordsBusy,
        tags=["me"],
        request=ErasureInput,
        responses={204: None},
        description=(
            "Erases the caller's medications, schedules, doses, reminders, devices, sessions and profile. This "
            "cannot be undone. Doses of other users that the caller recorded stay, without the caller's name."
        ),
    )
    def delete(self, request: Request) -> Response:
        user, now = caller(request), database_now()
        password = validated_body(ErasureInput, request).get("password")
        count_own_guess(request)
        require_presence(user=user, session=caller_session(request), password=password, now=now)
        erase_person(user=user, now=now)
        return Response(status=status.HTTP_204_NO_CONTENT)
