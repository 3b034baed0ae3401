from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.shortcuts import get_object_or_404
from rest_framework import status
from rest_framework.exceptions import NotFound, Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from medtrack.database.clock import database_now, process_now
from medtrack.http.lists import ListView
from medtrack.http.openapi import documented
from medtrack.http.pagination import Pagination
from medtrack.http.person_limits import LimitReached
from medtrack.http.requests import validated_body
from medtrack.http.responses import serialized
from medtrack.http.throttles import AddressThrottle, address, book_if_possible, count_if_possible
from users import examples
from users.actions import accounts, emails, identities, passwords, sessions
from users.actions.accounts import EmailTaken, InvalidCredentials
from users.actions.emails import MailUnavailable, NothingToVerify
from users.actions.identities import InvalidIdToken
from users.actions.sessions import InvalidRefreshToken
from users.authentication import AUTHENTICATE_HEADER, caller, caller_session
from users.guesses import LoginUnavailable, count_guess, count_own_guess
from users.hashing import PasswordsBusy
from users.known_devices import known_device
from users.links import InvalidLink
from users.models import Session, User
from users.outside_tokens import IssuerUnavailable
from users.querysets import SessionQuerySet, folded
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
    VerifyEmailInput,
)
from users.tokens import InvalidToken, RefreshToken, bearer_token


class PublicView(APIView):
    """Needs no access token, and ignores one: an expired one must not prevent signing in again."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get_authenticate_header(self, request: Request) -> str:
        """Makes a wrong password a 401. Without authentication classes DRF would make it a 403."""
        return AUTHENTICATE_HEADER


class SignUp(PublicView):
    throttle_classes = (AddressThrottle,)
    throttle_scope = "signup"

    @documented(
        "signUp",
        "Sign up",
        EmailTaken,
        Throttled,
        PasswordsBusy,
        tags=["auth"],
        request=SignUpInput,
        responses={201: CredentialsOutput},
        request_example=examples.SIGN_UP,
        response_example=examples.CREDENTIALS,
    )
    def post(self, request: Request) -> Response:
        fields = validated_body(SignUpInput, request)
        credentials = accounts.sign_up(now=database_now(), **fields)
        if (wait := _book_mail("verify", credentials.user)) is not None:
            emails.queue_first_email_link(user_id=credentials.user.id, wait=wait)
        return Response(serialized(CredentialsOutput, credentials), status=status.HTTP_201_CREATED)


class LogIn(PublicView):
    @documented(
        "logIn",
        "Sign in",
        InvalidCredentials,
        NotFound,
        LimitReached,
        Throttled,
        LoginUnavailable,
        PasswordsBusy,
        tags=["auth"],
        request=LogInInput,
        responses=CredentialsOutput,
        request_example=examples.LOG_IN,
        response_example=examples.CREDENTIALS,
    )
    def post(self, request: Request) -> Response:
        fields = validated_body(LogInInput, request)
        device = known_device(fields.pop("device_secret"), email=fields["email"])
        count_guess(request, fields["email"], device=device)
        credentials = accounts.log_in(now=database_now(), **fields)
        return Response(serialized(CredentialsOutput, credentials))


class LogInSocially(PublicView):
    """Counts failures by address and successes by user: failures of others at one address do not lock a user
    out.
    """

    @documented(
        "logInSocially",
        "Sign in with Google, Apple or Kakao",
        InvalidIdToken,
        NotFound,
        LimitReached,
        Throttled,
        IssuerUnavailable,
        tags=["auth"],
        request=SocialInput,
        responses=CredentialsOutput,
        description="With the ID token of Google, Apple or Kakao. An account is never found by its e-mail.",
        response_example=examples.CREDENTIALS,
    )
    def post(self, request: Request) -> Response:
        fields = validated_body(SocialInput, request)
        session = {name: fields.pop(name) for name in ("device_name", "end_session") if name in fields}
        try:
            claims = identities.verified_id_token(**fields)
        except InvalidIdToken:
            count_if_possible("social", address(request))
            raise
        count_if_possible("social", f"{claims.issuer} {claims.subject}")
        credentials = identities.log_in_socially(claims=claims, now=database_now(), **session)
        return Response(serialized(CredentialsOutput, credentials))


class Refresh(PublicView):
    """Counts by session, and only failures by address: thousands of users may share one address."""

    @documented(
        "refreshSession",
        "Exchange a refresh token for the next pair",
        InvalidRefreshToken,
        Throttled,
        tags=["auth"],
        request=RefreshInput,
        responses=CredentialsOutput,
        description=(
            "A refresh token works once; a repeat ends the session. Send the session's access token, expired or not, "
            "as Bearer: then a repeat within 30 seconds returns the same response, in case the first one was lost."
        ),
        request_example=examples.REFRESH,
        response_example=examples.CREDENTIALS,
    )
    def post(self, request: Request) -> Response:
        refresh = validated_body(RefreshInput, request)["refresh"]
        access = bearer_token(request.headers.get("Authorization", ""))
        try:
            count_if_possible("refresh", str(RefreshToken.parse(refresh).family))
            credentials = sessions.refresh_session(access=access, now=database_now(), refresh=refresh)
        except (InvalidToken, InvalidRefreshToken) as error:
            count_if_possible("refresh_failures", address(request))
            raise InvalidRefreshToken from error
        return Response(serialized(CredentialsOutput, credentials))


class LogOut(APIView):
    @documented("logOut", "End this session", tags=["auth"], request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        sessions.log_out(session_id=caller_session(request).id, now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class ForgotPassword(PublicView):
    throttle_classes = (AddressThrottle,)
    throttle_scope = "forgot"

    @documented(
        "forgotPassword",
        "Ask for a link to choose a new password",
        Throttled,
        MailUnavailable,
        tags=["auth"],
        request=ForgotPasswordInput,
        responses={202: None},
        description=(
            "Mails a link with which to choose a new password. The response is the same if no account has the "
            "address. After three mails within an hour the next ones are sent after pauses of 5, 10 and 20 minutes; "
            "requests during a pause are answered by the one mail at its end."
        ),
        request_example=examples.FORGOT,
    )
    def post(self, request: Request) -> Response:
        email = validated_body(ForgotPasswordInput, request)["email"]
        account = emails.account_id(email)
        if (wait := book_if_possible("mail", f"password {folded(email)}", account=account)) is not None:
            emails.queue_password_link(user_id=account, wait=wait)
        return Response(status=status.HTTP_202_ACCEPTED)


class ResetPassword(PublicView):
    @documented(
        "resetPassword",
        "Choose a new password by a mailed link",
        InvalidLink,
        PasswordsBusy,
        tags=["auth"],
        request=ResetPasswordInput,
        responses={204: None},
        description="By the token of a mail's link. Ends all sessions.",
    )
    def post(self, request: Request) -> Response:
        passwords.reset_password(now=database_now(), **validated_body(ResetPasswordInput, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class ChangePassword(APIView):
    @documented(
        "changePassword",
        "Change my password",
        Throttled,
        LoginUnavailable,
        PasswordsBusy,
        tags=["auth"],
        request=ChangePasswordInput,
        responses={204: None},
        description="Ends all other sessions.",
    )
    def post(self, request: Request) -> Response:
        fields = validated_body(ChangePasswordInput, request)
        count_own_guess(request)
        passwords.change_password(
            by=caller(request), session_id=caller_session(request).id, now=database_now(), **fields
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class VerifyEmail(PublicView):
    @documented(
        "verifyEmail",
        "Confirm my e-mail by a mailed link",
        InvalidLink,
        tags=["auth"],
        request=VerifyEmailInput,
        responses={204: None},
    )
    def post(self, request: Request) -> Response:
        emails.verify_email(now=database_now(), **validated_body(VerifyEmailInput, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class SendVerification(APIView):
    @documented(
        "sendVerification",
        "Ask again for the link that confirms my e-mail",
        NothingToVerify,
        MailUnavailable,
        tags=["auth"],
        request=None,
        responses={202: None},
        description=(
            "Mails the link that confirms the caller's e-mail again; after three mails within an hour with the pauses "
            "of `forgotPassword`."
        ),
    )
    def post(self, request: Request) -> Response:
        user = caller(request)
        emails.require_unverified_email(user)
        if (wait := _book_mail("verify", user)) is not None:
            emails.queue_email_link(user_id=user.id, wait=wait)
        return Response(status=status.HTTP_202_ACCEPTED)


class Sessions(ListView[Session]):
    queryset = Session.objects.none()
    serializer_class = SessionOutput
    pagination_class = Pagination

    def get_queryset(self) -> SessionQuerySet:
        is_current = ExpressionWrapper(Q(id=caller_session(self.request).id), BooleanField())
        return _my_sessions(self.request).annotate(is_current=is_current)

    @documented("listSessions", "List the devices that I am signed in on, newest first", tags=["auth"])
    def get(self, request: Request) -> Response:
        return self.list(request)


class SessionDetail(APIView):
    @documented("endSession", "Sign out another device", tags=["auth"], responses={204: None})
    def delete(self, request: Request, session_id: UUID) -> Response:
        session = get_object_or_404(_my_sessions(request), id=session_id)
        sessions.log_out(session_id=session.id, now=database_now())
        return Response(status=status.HTTP_204_NO_CONTENT)


def _my_sessions(request: Request) -> SessionQuerySet:
    return Session.objects.visible_to(caller(request), now=process_now())


def _book_mail(kind: str, user: User) -> float | None:
    return book_if_possible("mail", f"{kind} {folded(user.email or str(user.id))}", account=str(user.id))
