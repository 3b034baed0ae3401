from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medtrack.common.answers import shown
from medtrack.common.clock import database_now
from medtrack.common.lists import ListView
from medtrack.common.pagination import Pagination
from medtrack.common.problems import Unavailable
from medtrack.common.requests import validated
from medtrack.common.throttles import AddressThrottle, CountersAway, address, count, count_if_possible
from users.actions import accounts, emails, identities, passwords, sessions
from users.authentication import AUTHENTICATE_HEADER, caller, caller_session
from users.email_addresses import comparable_email
from users.models import Session
from users.querysets import SessionQuerySet
from users.serializers import (
    ChangePasswordInput,
    CredentialsOutput,
    ForgotPasswordInput,
    LogInInput,
    RefreshInput,
    ResetPasswordInput,
    SessionOutput,
    SignUpInput,
    SocialInput,
    UserOutput,
    VerifyEmailInput,
)
from users.tokens import bearer_token


class LoginUnavailable(Unavailable):
    """Guesses of passwords cannot be counted at the moment, so none is allowed."""

    default_detail = _("Signing in is not possible at the moment. Try again in a few seconds.")


class PublicView(APIView):
    """Open to everyone: a stale token in the header is no reason to refuse signing in again."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get_authenticate_header(self, request: Request) -> str:
        """A wrong password is a 401; without this DRF would make it a 403."""
        return AUTHENTICATE_HEADER


class SignUp(PublicView):
    throttle_classes = (AddressThrottle,)
    throttle_scope = "signup"

    @extend_schema(
        operation_id="signUp", tags=["auth"], request=SignUpInput, responses={201: CredentialsOutput}
    )
    def post(self, request: Request) -> Response:
        credentials = accounts.sign_up(now=timezone.now(), **validated(SignUpInput, request))
        emails.greet(user=credentials.user)
        return Response(shown(CredentialsOutput, credentials), status=status.HTTP_201_CREATED)


class LogIn(PublicView):
    @extend_schema(operation_id="logIn", tags=["auth"], request=LogInInput, responses=CredentialsOutput)
    def post(self, request: Request) -> Response:
        fields = validated(LogInInput, request)
        count_guess(request, fields["email"])
        credentials = accounts.log_in(now=timezone.now(), **fields)
        return Response(shown(CredentialsOutput, credentials))


class LogInSocially(PublicView):
    throttle_classes = (AddressThrottle,)
    throttle_scope = "social"

    @extend_schema(
        operation_id="logInSocially",
        tags=["auth"],
        request=SocialInput,
        responses=CredentialsOutput,
        description="With the id token of Google, Apple or Kakao. An account is never found by its e-mail.",
    )
    def post(self, request: Request) -> Response:
        credentials = identities.log_in_socially(now=timezone.now(), **validated(SocialInput, request))
        return Response(shown(CredentialsOutput, credentials))


class Refresh(PublicView):
    throttle_classes = (AddressThrottle,)
    throttle_scope = "refresh"

    @extend_schema(
        operation_id="refreshSession",
        tags=["auth"],
        request=RefreshInput,
        responses=CredentialsOutput,
        description=(
            "A refresh token works once; a repeat ends the session. Send the session's access token, expired or not, as "
            "Bearer: then an answer that was lost is given again for 30 seconds."
        ),
    )
    def post(self, request: Request) -> Response:
        access = bearer_token(request.headers.get("Authorization", ""))
        credentials = sessions.refresh_session(
            access=access, now=database_now(), **validated(RefreshInput, request)
        )
        return Response(shown(CredentialsOutput, credentials))


class LogOut(APIView):
    @extend_schema(operation_id="logOut", tags=["auth"], request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        sessions.log_out(session=caller_session(request), now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class ForgotPassword(PublicView):
    throttle_classes = (AddressThrottle,)
    throttle_scope = "forgot"

    @extend_schema(
        operation_id="forgotPassword",
        tags=["auth"],
        request=ForgotPasswordInput,
        responses={202: None},
        description="Mails a link with which to choose a new password. The answer is the same for everybody.",
    )
    def post(self, request: Request) -> Response:
        email = validated(ForgotPasswordInput, request)["email"]
        count_if_possible("mail", folded(email))
        emails.ask_for_password_link(email=email)
        return Response(status=status.HTTP_202_ACCEPTED)


class ResetPassword(PublicView):
    @extend_schema(
        operation_id="resetPassword",
        tags=["auth"],
        request=ResetPasswordInput,
        responses={204: None},
        description="By the link of a mail. Ends all sessions.",
    )
    def post(self, request: Request) -> Response:
        passwords.reset_password(now=database_now(), **validated(ResetPasswordInput, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ChangePassword(APIView):
    @extend_schema(
        operation_id="changePassword",
        tags=["auth"],
        request=ChangePasswordInput,
        responses={204: None},
        description="Ends all other sessions.",
    )
    def post(self, request: Request) -> Response:
        fields = validated(ChangePasswordInput, request)
        count_guess(request, caller(request).email or str(caller(request).id))
        passwords.change_password(session=caller_session(request), now=database_now(), **fields)
        return Response(status=status.HTTP_204_NO_CONTENT)


class VerifyEmail(PublicView):
    @extend_schema(operation_id="verifyEmail", tags=["auth"], request=VerifyEmailInput, responses={204: None})
    def post(self, request: Request) -> Response:
        emails.verify_email(now=database_now(), **validated(VerifyEmailInput, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class SendVerification(APIView):
    @extend_schema(
        operation_id="sendVerification",
        tags=["auth"],
        request=None,
        responses={202: None},
        description="Mails the link that confirms the caller's e-mail once more.",
    )
    def post(self, request: Request) -> Response:
        user = caller(request)
        count_if_possible("mail", folded(user.email or str(user.id)))
        emails.ask_for_email_link(user=user)
        return Response(status=status.HTTP_202_ACCEPTED)


class Sessions(ListView[Session]):
    queryset = Session.objects.none()
    serializer_class = SessionOutput
    pagination_class = Pagination

    def get_queryset(self) -> SessionQuerySet:
        is_current = ExpressionWrapper(Q(id=caller_session(self.request).id), BooleanField())
        return _my_sessions(self.request).annotate(is_current=is_current)

    @extend_schema(operation_id="listSessions", tags=["auth"])
    def get(self, request: Request) -> Response:
        return self.list(request)


class SessionDetail(APIView):
    @extend_schema(operation_id="endSession", tags=["auth"], responses={204: None})
    def delete(self, request: Request, session_id: UUID) -> Response:
        session = get_object_or_404(_my_sessions(request), id=session_id)
        sessions.log_out(session=session, now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class Me(APIView):
    """Reading; `dosing` adds changing, because another time zone reaches into the doses."""

    @extend_schema(operation_id="getMe", tags=["me"], responses=UserOutput)
    def get(self, request: Request) -> Response:
        return Response(shown(UserOutput, caller(request)))


def _my_sessions(request: Request) -> SessionQuerySet:
    return Session.objects.visible_to(caller(request), now=timezone.now())


def folded(email: str) -> str:
    """As the account is looked up: in the form that is stored, and as PostgreSQL compares, letter by letter."""
    return "".join(letter.lower()[0] for letter in comparable_email(email))


def count_guess(request: Request, account: str) -> None:
    """One more guess of a password. From one place nobody uses up the guesses that an account has from everywhere.

    Raises Throttled; and LoginUnavailable while nobody counts, because then there could be any number of guesses.
    """
    try:
        count("login", address(request))
        count("login_account", f"{folded(account)} {address(request)}")
        count("login_everywhere", folded(account))
    except CountersAway as error:
        raise LoginUnavailable from error
