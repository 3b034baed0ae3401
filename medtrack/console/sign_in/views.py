"""Staff's way into the admin: password, second factor, and the page where one looks after both.

allauth's views, counted by our throttles, in the admin's look. The API signs in by itself and knows nothing of this.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

import structlog
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
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.http import urlencode
from django.views.generic.edit import FormView
from rest_framework.exceptions import APIException, Throttled
from rest_framework.request import Request

from medtrack.console.sign_in.adapters import has_factor, used_factor
from medtrack.console.sign_in.encryption import Undecryptable
from medtrack.console.sign_in.forms import use_up
from medtrack.console.sign_in.refusals import set_retry_after
from medtrack.http.throttles import CountersUnavailable, address, count
from users.guesses import LoginUnavailable, count_guess
from users.hashing import PasswordsBusy
from users.known_devices import device_secret, known_device
from users.models import User

log = structlog.get_logger(__name__)

View = Callable[..., HttpResponseBase]
DEVICE_COOKIE = "medtrack_device"
_YEAR = 365 * 24 * 3600


def next_step(request: HttpRequest) -> str:
    """Where somebody who said the password goes before anything else."""
    if not has_factor(request.user):
        return resolve_url("mfa_activate_totp")
    again = reverse("mfa_reauthenticate")
    return f"{again}?{urlencode({'next': request.GET.get('next') or resolve_url('admin:index')})}"


def refusal(guess: Callable[[], None]) -> APIException | None:
    """Counts a guess; what to answer instead of looking at it."""
    try:
        guess()
    except (Throttled, LoginUnavailable, PasswordsBusy) as error:
        return error
    return None


def count_code(request: HttpRequest, user: User) -> None:
    """One more guess of a code. Raises Throttled and LoginUnavailable."""
    try:
        if not browser_known_to(request, str(user.email)):
            count("login", address(request))
        count("code", str(user.pk))
    except CountersUnavailable as error:
        raise LoginUnavailable from error


def browser_known_to(request: HttpRequest, email: str) -> str:
    """The id of the browser, if somebody has signed in to this account with it before."""
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
    """A page with a form that somebody may guess at: every guess counts before it is looked at."""

    request: HttpRequest

    def count(self, request: HttpRequest) -> None:
        raise NotImplementedError

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if error := refusal(lambda: self.count(request)):
            return self.refused(error)
        response = cast(HttpResponse, super().post(request, *args, **kwargs))  # type: ignore[misc]
        if admin.site.has_permission(request):
            remember_browser(response, cast(User, request.user))
        return response

    def unbound(self) -> dict[str, Any]:
        """The page's context without what was typed."""
        page: Any = self
        kwargs = {
            name: value for name, value in page.get_form_kwargs().items() if name not in ("data", "files")
        }
        found: dict[str, Any] = page.get_context_data(form=page.get_form_class()(**kwargs))
        return found

    def refused(self, error: APIException) -> HttpResponse:
        page: Any = self
        context = self.unbound() | {"refusal": error.detail}
        response: HttpResponse = page.render_to_response(context, status=error.status_code)
        set_retry_after(response, error)
        return response


class LogIn(_CountedMixin, LoginView):
    def count(self, request: HttpRequest) -> None:
        email = request.POST.get("login", "").strip()
        count_guess(cast(Request, request), email, device=browser_known_to(request, email))

    def get_authenticated_redirect_url(self) -> str:
        if admin.site.has_permission(self.request):
            return cast(str, super().get_authenticated_redirect_url())
        return next_step(self.request)


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
    """The first code shows that the app is at hand: the session counts as one with a second factor."""

    def form_valid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        factor = Authenticator.objects.get(user=self.request.user, type=Authenticator.Type.TOTP)
        # Its window may have ended since the form looked.
        with suppress(ValidationError):
            use_up(factor, form.cleaned_data["code"])
        post_authentication(self.request, factor, reauthenticated=True)
        return response


class AddPasskey(webauthn.AddWebAuthnView):
    """Whoever adds a passkey has just used it."""

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
    """Looks not at the codes before, which no key may open any more."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return FormView.get_context_data(self, **kwargs)


def in_the_admins_look(view: View) -> View:
    """With what every page of the admin shows; nothing of it stays in the browser."""

    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = _rendered(request, view(request, *args, **kwargs))
        except Undecryptable:
            response = _rendered(request, _unreadable_factor(request))
        add_never_cache_headers(response)
        return response

    return page


def _rendered(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Rendered here, because a template may be what first reads a secret."""
    if isinstance(response, TemplateResponse):
        # Signing in changes who asks.
        frame = admin.site.each_context(request) | {"user": request.user}
        response.context_data = frame | (response.context_data or {})
        response.render()
    return response


def _unreadable_factor(request: HttpRequest) -> TemplateResponse:
    """None of our keys opens the secret; only an administrator can help, by forgetting the factor."""
    stage = getattr(request, "_login_stage", None)
    user = stage.login.user if stage else request.user
    log.error("second factor unreadable", user_id=str(user.pk), remedy="manage.py reset_second_factor EMAIL")
    return TemplateResponse(request, "console/unreadable_factor.html", {}, status=403)


def for_staff(view: View) -> View:
    """A page of somebody's own account: for whoever may use the admin, or is to set up the first factor.

    A session that knows only the password looks after nothing once the account has a factor.
    """

    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        user = get_user(request)
        if not user.is_authenticated:
            return HttpResponseRedirect(f"{reverse('account_login')}?{urlencode({'next': request.path})}")
        if has_factor(user) and not used_factor(request):
            return HttpResponseRedirect(next_step(request))
        return view(request, *args, **kwargs)

    return in_the_admins_look(page)


log_in = in_the_admins_look(LogIn.as_view())
enter_code = in_the_admins_look(EnterCode.as_view())
enter_code_again = in_the_admins_look(EnterCodeAgain.as_view())
use_passkey_again = in_the_admins_look(webauthn.ReauthenticateWebAuthnView.as_view())
my_account = for_staff(IndexView.as_view())
set_up_app = for_staff(SetUpApp.as_view())
remove_app = for_staff(totp.DeactivateTOTPView.as_view())
list_passkeys = for_staff(webauthn.ListWebAuthnView.as_view())
add_passkey = for_staff(AddPasskey.as_view())
rename_passkey = for_staff(webauthn.EditWebAuthnView.as_view())
remove_passkey = for_staff(webauthn.RemoveWebAuthnView.as_view())
recovery_codes_page = for_staff(recovery_codes.ViewRecoveryCodesView.as_view())
make_recovery_codes = for_staff(MakeRecoveryCodes.as_view())
download_recovery_codes = for_staff(recovery_codes.DownloadRecoveryCodesView.as_view())
