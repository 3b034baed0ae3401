from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medtrack.common.clock import database_now
from medtrack.common.requests import validated
from users import actions
from users.authentication import AUTHENTICATE_HEADER, caller, caller_session
from users.serializers import CredentialsOutput, LogInInput, RefreshInput, SignUpInput, UserOutput


class PublicView(APIView):
    """Open to everyone: a stale token in the header is no reason to refuse signing in again."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get_authenticate_header(self, request: Request) -> str:
        """A wrong password is a 401; without this DRF would make it a 403."""
        return AUTHENTICATE_HEADER


class SignUp(PublicView):
    @extend_schema(
        operation_id="signUp", tags=["auth"], request=SignUpInput, responses={201: CredentialsOutput}
    )
    def post(self, request: Request) -> Response:
        credentials = actions.sign_up(now=timezone.now(), **validated(SignUpInput, request))
        return Response(CredentialsOutput(credentials).data, status=status.HTTP_201_CREATED)


class LogIn(PublicView):
    @extend_schema(operation_id="logIn", tags=["auth"], request=LogInInput, responses=CredentialsOutput)
    def post(self, request: Request) -> Response:
        credentials = actions.log_in(now=timezone.now(), **validated(LogInInput, request))
        return Response(CredentialsOutput(credentials).data)


class Refresh(PublicView):
    @extend_schema(
        operation_id="refreshSession", tags=["auth"], request=RefreshInput, responses=CredentialsOutput
    )
    def post(self, request: Request) -> Response:
        credentials = actions.refresh_session(now=timezone.now(), **validated(RefreshInput, request))
        return Response(CredentialsOutput(credentials).data)


class LogOut(APIView):
    @extend_schema(operation_id="logOut", tags=["auth"], request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        actions.log_out(session=caller_session(request), now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class Me(APIView):
    """Reading; `dosing` adds changing, because another time zone reaches into the doses."""

    @extend_schema(operation_id="getMe", tags=["me"], responses=UserOutput)
    def get(self, request: Request) -> Response:
        return Response(UserOutput(caller(request)).data)
