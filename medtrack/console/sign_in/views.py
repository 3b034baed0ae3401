"""Signing in to the console with a password and a second factor, and the pages of one's own account.

They are allauth's views inside the admin's layout; guesses are counted by the API's throttles.
"""

from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

from allauth.account.views import LoginView
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.base.views import AuthenticateView, IndexView, ReauthenticateView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import urlencode
from django.views.generic.edit import FormView
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from medtrack.console.sign_in.adapters import has_factor, used_factor
from medtrack.console.sign_in.admin_context import View, with_admin_context
from medtrack.console.sign_in.forms import mark_code_used
from medtrack.console.sign_in.refusals import REFUSALS, set_retry_after
from medtrack.http.throttles import CountersUnavailable, address, count
from users.guesses import LoginUnavailable, count_guess
from users.known_devices import device_secret, known_device
from users.models import User

DEVICE_COOKIE = "medtrack_device"
_YEAR = 365 * 24 * 3600


def second_factor_url(request: HttpRequest) -> str:
    """Returns the page that comes after the password: setting up a second factor, or using it."""
    if not has_factor(request.user):
        return resolve_url("mfa_activate_totp")
    again = reverse("mfa_reauthenticate")
    return f"{again}?{urlencode({'next': request.GET.get('next') or resolve_url('admin:index')})}"


def count_code(request: HttpRequest, user: User) -> None:
    """Counts one guess of a code. Raises Throttled and LoginUnavailable."""
    try:
        if not browser_known_to(request, str(user.email)):
            count("login", address(request))
        count("code", str(user.pk))
    except CountersUnavailable as error:
        raise LoginUnavailable from error


def browser_known_to(request: HttpRequest, email: str) -> str:
    """Returns the id of the browser if this account was signed in to with it before, or an empty text."""
    return known_device(request.COOKIES.get(DEVICE_COOKIE, ""), email=email)


def remember_browser(response: HttpResponse, user: User) -> None:
    response.set_cookie(
        DEVICE_COOKIE,
        device_secret(user_id=user.pk, device_id=uuid4()),
        max_age=_YEAR,
        path=reverse("admin:index"),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


class _CountedMixin:
    """A page with a password or a code: each guess is counted before it is checked."""

    request: HttpRequest

    def count(self, request: HttpRequest) -> None:
        raise NotImplementedError

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            self.count(request)
        except REFUSALS as error:
            return self.refused(error)
        response = cast(HttpResponse, super().post(request, *args, **kwargs))  # type: ignore[misc]
        if admin.site.has_permission(request):
            remember_browser(response, cast(User, request.user))
        return response

    def unbound(self) -> dict[str, Any]:
        """Returns the page's context with an empty form."""
        page: Any = self
        kwargs = {
            name: value for name, value in page.get_form_kwargs().items() if name not in ("data", "files")
        }
        context: dict[str, Any] = page.get_context_data(form=page.get_form_class()(**kwargs))
        return context

    def refused(self, error: APIException) -> HttpResponse:
        page: Any = self
        context = self.unbound() | {"refusal": error.detail}
        response: HttpResponse = page.render_to_response(context, status=error.status_code)
        set_retry_after(response, error)
        return response


class StaffLogIn(_CountedMixin, LoginView):
    def count(self, request: HttpRequest) -> None:
        email = request.POST.get("login", "").strip()
        count_guess(cast(Request, request), email, device=browser_known_to(request, email))

    def get_authenticated_redirect_url(self) -> str:
        if admin.site.has_permission(self.request):
            return cast(str, super().get_authenticated_redirect_url())
        return second_factor_url(self.request)


class EnterCode(_CountedMixin, AuthenticateView):
    def count(self, request: HttpRequest) -> None:
        count_code(request, self.stage.login.user)

    def unbound(self) -> dict[str, Any]:
        self.auth_form = self.get_form_class()(user=self.stage.login.user)
        return cast("dict[str, Any]", self.get_context_data())


class EnterCodeAgain(_CountedMixin, ReauthenticateView):
    def count(self, request: HttpRequest) -> None:
        count_code(request, cast(User, request.user))


class SetUpApp(totp.ActivateTOTPView):
    """The first code proves that the app works, so the session counts as signed in with a second factor."""

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        factor = Authenticator.objects.get(user=self.request.user, type=Authenticator.Type.TOTP)
        # The code may have expired since the form checked it.
        with suppress(ValidationError):
            mark_code_used(factor, form.cleaned_data["code"])
        post_authentication(self.request, factor, reauthenticated=True)
        return response


class AddPasskey(webauthn.AddWebAuthnView):
    """Adding a passkey uses it, so the session counts as signed in with a second factor."""

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        factor = Authenticator.objects.filter(
            user=self.request.user, type=Authenticator.Type.WEBAUTHN
        ).latest("id")
        post_authentication(self.request, factor, reauthenticated=True)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        return cast(HttpResponse, self.render_to_response(self.get_context_data(form=form)))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | kwargs


class MakeRecoveryCodes(recovery_codes.GenerateRecoveryCodesView):
    """Does not read the old codes: the key that decrypts them may be missing."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return FormView.get_context_data(self, **kwargs)


def own_account_page(view: View) -> View:
    """Wraps a page of the user's own account.

    It is for staff with a second factor, or staff who have to set up the first one. Once the account has a
    factor, a session that used only the password is sent to the page for the factor.
    """

    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user = get_user(request)
        if not user.is_authenticated:
            return HttpResponseRedirect(f"{reverse('account_login')}?{urlencode({'next': request.path})}")
        if has_factor(user) and not used_factor(request):
            return HttpResponseRedirect(second_factor_url(request))
        return view(request, *args, **kwargs)

    return with_admin_context(page)


log_in = with_admin_context(StaffLogIn.as_view())
enter_code = with_admin_context(EnterCode.as_view())
enter_code_again = with_admin_context(EnterCodeAgain.as_view())
use_passkey_again = with_admin_context(webauthn.ReauthenticateWebAuthnView.as_view())
my_account = own_account_page(IndexView.as_view())
set_up_app = own_account_page(SetUpApp.as_view())
remove_app = own_account_page(totp.DeactivateTOTPView.as_view())
list_passkeys = own_account_page(webauthn.ListWebAuthnView.as_view())
add_passkey = own_account_page(AddPasskey.as_view())
rename_passkey = own_account_page(webauthn.EditWebAuthnView.as_view())
remove_passkey = own_account_page(webauthn.RemoveWebAuthnView.as_view())
recovery_codes_page = own_account_page(recovery_codes.ViewRecoveryCodesView.as_view())
make_recovery_codes = own_account_page(MakeRecoveryCodes.as_view())
download_recovery_codes = own_account_page(recovery_codes.DownloadRecoveryCodesView.as_view())
