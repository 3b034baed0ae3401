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

from medtrack.database.clock import database_now
from medtrack.http.lists import ListView
from medtrack.http.pagination import Pagination
from medtrack.http.problems import Unavailable
from medtrack.http.requests import validated
from medtrack.http.responses import shown
from medtrack.http.throttles import (
    AddressThrottle,
    CountersAway,
    address,
    book_if_possible,
    count,
    count_if_possible,
)
from users.actions import accounts, emails, identities, passwords, sessions
from users.authentication import AUTHENTICATE_HEADER, caller, caller_session
from users.hashing import SLOT
from users.known_devices import known_device
from users.models import Session, User
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
    UserOutput,
    VerifyEmailInput,
)
from users.tokens import InvalidToken, RefreshToken, bearer_token


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
        if (wait := _book_mail("verify", credentials.user)) is not None:
            emails.queue_first_email_link(user_id=credentials.user.id, wait=wait)
        return Response(shown(CredentialsOutput, credentials), status=status.HTTP_201_CREATED)


class LogIn(PublicView):
    @extend_schema(operation_id="logIn", tags=["auth"], request=LogInInput, responses=CredentialsOutput)
    def post(self, request: Request) -> Response:
        fields = validated(LogInInput, request)
        device = known_device(fields.pop("device_secret"), email=fields["email"])
        count_guess(request, fields["email"], device=device)
        credentials = accounts.log_in(now=timezone.now(), **fields)
        return Response(shown(CredentialsOutput, credentials))


class LogInSocially(PublicView):
    """Counts by address what fails, and by person what succeeds: nobody's failures keep others out."""

    @extend_schema(
        operation_id="logInSocially",
        tags=["auth"],
        request=SocialInput,
        responses=CredentialsOutput,
        description="With the id token of Google, Apple or Kakao. An account is never found by its e-mail.",
    )
    def post(self, request: Request) -> Response:
        fields = validated(SocialInput, request)
        session = {name: fields.pop(name) for name in ("device_name", "end_session") if name in fields}
        try:
            claims = identities.verified_id_token(**fields)
        except identities.InvalidIdToken:
            count_if_possible("social", address(request))
            raise
        count_if_possible("social", f"{claims.issuer} {claims.subject}")
        credentials = identities.log_in_socially(claims=claims, now=timezone.now(), **session)
        return Response(shown(CredentialsOutput, credentials))


class Refresh(PublicView):
    """Counts by session, and by address what fails: thousands of people may share an address with one who fails."""

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
        refresh = validated(RefreshInput, request)["refresh"]
        access = bearer_token(request.headers.get("Authorization", ""))
        try:
            count_if_possible("refresh", str(RefreshToken.parse(refresh).family))
            credentials = sessions.refresh_session(access=access, now=database_now(), refresh=refresh)
        except (InvalidToken, sessions.InvalidRefreshToken) as error:
            count_if_possible("refresh_failures", address(request))
            raise sessions.InvalidRefreshToken from error
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
        description=(
            "Mails a link with which to choose a new password. The answer is the same for everybody. After three mails "
            "within an hour the next ones are sent after pauses of 5, 10 and 20 minutes; what is asked for during a "
            "pause is answered by the one mail at its end."
        ),
    )
    def post(self, request: Request) -> Response:
        email = validated(ForgotPasswordInput, request)["email"]
        account = emails.account_id(email)
        if (wait := book_if_possible("mail", f"password {folded(email)}", account=account)) is not None:
            emails.queue_password_link(user_id=account, wait=wait)
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
        count_own_guess(request)
        passwords.change_password(
            by=caller(request), session_id=caller_session(request).id, now=database_now(), **fields
        )
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
        description=(
            "Mails the link that confirms the caller's e-mail once more; after three mails within an hour with the "
            "pauses of `forgotPassword`."
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


def count_guess(request: Request, account: str, *, device: str = "") -> None:
    """One more guess of a password, by a device that is known to the account or by a stranger.

    Strangers are counted by address and account, so that one place does not use up the guesses from everywhere.
    Their guesses do not count for known devices: an account under attack can still be signed in to from those.
    Raises Throttled and PasswordsBusy, and LoginUnavailable because without counters anything could be guessed.
    """
    SLOT.refuse_if_full()
    try:
        if device:
            count("login_device", device)
            count("login_known", folded(account))
            return
        count("login", address(request))
        count("login_account", f"{folded(account)} {address(request)}")
        count("login_everywhere", folded(account))
    except CountersAway as error:
        raise LoginUnavailable from error


def count_own_guess(request: Request) -> None:
    """One more guess of the caller's password: their session is a known device. Raises as `count_guess`."""
    user = caller(request)
    count_guess(request, user.email or str(user.id), device=caller_session(request).id.hex)


def _book_mail(kind: str, user: User) -> float | None:
    return book_if_possible("mail", f"{kind} {folded(user.email or str(user.id))}", account=str(user.id))
