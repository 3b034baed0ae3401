"""The page behind the link of an invitation: it asks for a name and a password, then for a second factor."""

from typing import Any, cast

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django import forms
from django.contrib.auth import logout
from django.contrib.auth.password_validation import password_validators_help_texts
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from rest_framework.exceptions import APIException, ValidationError

from medtrack.console.models import Invitation
from medtrack.console.sign_in.admin_context import with_admin_context
from medtrack.console.sign_in.refusals import set_retry_after
from medtrack.console.staff.actions import StaffChangeRefused
from medtrack.console.staff.invitation_links import invitation_of
from medtrack.console.staff.invitations import InvitationOver, accept
from medtrack.database.clock import database_now
from users.access_log import Actor
from users.models import User

_TOKEN = "invitation"  # noqa: S105 - where the session keeps the link's token


class AcceptForm(forms.Form):
    name = forms.CharField(label=_("name"), max_length=100)
    password = forms.CharField(label=_("password"), max_length=128, strip=False)
    repeated = forms.CharField(label=_("password, once more"), max_length=128, strip=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "password" in cleaned and "repeated" in cleaned and cleaned["password"] != cleaned["repeated"]:
            self.add_error("repeated", _("The two passwords are not the same."))
        return cleaned


@with_admin_context
@sensitive_post_parameters("password", "repeated")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_page(request: HttpRequest) -> HttpResponse:
    # The token moves from the address to the session, so that no Referer header contains it.
    if token := request.GET.get("token"):
        invitation = invitation_of(token)
        if invitation is None:
            return _over(request, None)
        request.session[_TOKEN] = token
        return HttpResponseRedirect(request.path)
    invitation = invitation_of(request.session.get(_TOKEN, ""))
    if invitation is None:
        return _over(request, None)
    # Asked of the database, whose clock also decides when the form is sent.
    if not Invitation.objects.acceptable(now=database_now()).filter(id=invitation.id).exists():
        return _over(request, invitation)
    if request.method != "POST":
        # Of an account whose e-mail is not confirmed, the name may be a stranger's.
        known = User.objects.active().with_email(invitation.email or "").exclude(email_verified_at=None)
        name = known.values_list("name", flat=True).first() or ""
        return _page(request, invitation, AcceptForm(initial={"name": name}))
    return _accept(request, invitation)


def _accept(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    form = AcceptForm(request.POST)
    if not form.is_valid():
        return _page(request, invitation, form)
    chosen = {name: form.cleaned_data[name] for name in ("name", "password")}
    try:
        page = Actor.of_request(request)
        user = accept(invitation_id=invitation.id, page=page, now=database_now(), **chosen)
    except ValidationError as error:
        for name, reasons in cast("dict[str, list[str]]", error.detail).items():
            for reason in reasons:
                form.add_error(name, str(reason))
        return _page(request, invitation, form)
    except InvitationOver:
        # Read again: it was used or withdrawn since it was read above, or even deleted.
        return _over(request, Invitation.objects.filter(id=invitation.id).first())
    except StaffChangeRefused as error:
        return _page(request, invitation, form, refusal=error.detail)
    except APIException as error:
        response = _page(request, invitation, form, refusal=error.detail)
        response.status_code = error.status_code
        set_retry_after(response, error)
        return response
    # Another user may be signed in in this browser, whose session must not pass to the new one.
    logout(request)
    # With the password just chosen. If the account has a second factor, allauth asks for it.
    login = Login(user=user, redirect_url=resolve_url("admin:index"))
    return cast(HttpResponse, perform_password_login(request, {"email": user.email}, login))


def _page(request: HttpRequest, invitation: Invitation, form: AcceptForm, refusal: Any = "") -> HttpResponse:
    until = f"{invitation.expires_at:%Y-%m-%d %H:%M}"
    context = {
        "form": form,
        "refusal": refusal,
        "invitation": invitation,
        "validity": gettext("This invitation works once, until %(until)s UTC.") % {"until": until},
        "password_rules": password_validators_help_texts(),
    }
    return TemplateResponse(request, "console/invitation.html", context)


def _over(request: HttpRequest, invitation: Invitation | None) -> HttpResponse:
    status = 410 if invitation else 404
    return TemplateResponse(
        request, "console/invitation_over.html", {"invitation": invitation}, status=status
    )
