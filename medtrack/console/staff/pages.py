"""Superusers' pages about the staff: accounts, roles, second factors and invitations."""

from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Prefetch, Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from medtrack.console.models import Invitation
from medtrack.console.roles import ROLES
from medtrack.console.staff.actions import StaffChangeRefused, change_roles, reset_second_factor
from medtrack.console.staff.invitation_links import link_of
from medtrack.console.staff.invitations import invite, invite_again, mail_invitation, withdraw
from medtrack.database.clock import database_now
from users.access_log import Actor
from users.models import User

# Where the session keeps which invitation's link is to be shown once.
_HANDOVER = "invitation_to_hand_over"


class RolesForm(forms.Form):
    roles = forms.MultipleChoiceField(
        label=_("roles"), required=False, widget=forms.CheckboxSelectMultiple, choices=()
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Group.objects.order_by("name").values_list("name", flat=True)
        choices = [(name, ROLES[name].label if name in ROLES else name) for name in names]
        self.fields["roles"].choices = choices  # type: ignore[attr-defined]


class InviteForm(RolesForm):
    email = forms.EmailField(label=_("e-mail"), widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    field_order = ("email", "roles")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["roles"].required = True


@require_http_methods(["GET", "HEAD", "POST"])
def staff_list(request: HttpRequest) -> HttpResponse:
    _superusers_only(request)
    if request.method == "POST" and "again" in request.POST:
        invitation = _open_invitation(request.POST["again"])
        try:
            invitation = invite_again(
                invitation_id=invitation.pk, by=Actor.of_request(request), now=database_now()
            )
        # The person may have become staff meanwhile, or another superuser may have invited them again.
        except StaffChangeRefused as error:
            messages.error(request, str(error.detail))
            return HttpResponseRedirect(reverse("admin:staff"))
        return _send(request, invitation)
    if request.method == "POST" and "withdraw" in request.POST:
        invitation = _open_invitation(request.POST["withdraw"])
        try:
            withdraw(invitation_id=invitation.pk, by=Actor.of_request(request), now=database_now())
        # It was open when it was read, and may have been accepted before it was withdrawn.
        except StaffChangeRefused as error:
            messages.error(request, str(error.detail))
            return HttpResponseRedirect(reverse("admin:staff"))
        return _back(request, _("The invitation was withdrawn; its link does not work any more."))
    form = InviteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            # The mail is in the language of the page, until the account has one of its own.
            language = get_language() or settings.LANGUAGE_CODE
            by = Actor.of_request(request)
            invitation = invite(**form.cleaned_data, language=language, by=by, now=database_now())
            return _send(request, invitation)
        except StaffChangeRefused as error:
            form.add_error("email", str(error.detail))
        except ValidationError as error:
            form.add_error("email", error)
    return _staff_page(request, form)


def _send(request: HttpRequest, invitation: Invitation) -> HttpResponse:
    # By mail. If that is not possible, the next page shows the link, once.
    if mail_invitation(invitation):
        return _back(request, _("The invitation was sent."))
    request.session[_HANDOVER] = str(invitation.pk)
    return HttpResponseRedirect(reverse("admin:staff"))


def _open_invitation(pk: str) -> Invitation:
    try:
        return get_object_or_404(Invitation.objects.open(), pk=UUID(pk))
    except ValueError as error:
        raise Http404 from error


def _staff_page(request: HttpRequest, form: InviteForm) -> HttpResponse:
    # Recovery codes alone are no second factor: they exist beside one.
    factors = Authenticator.objects.exclude(type=Authenticator.Type.RECOVERY_CODES)
    staff = (
        User.objects.filter(Q(is_staff=True) | Q(is_superuser=True))
        .prefetch_related("groups", Prefetch("authenticator_set", factors))
        .order_by("email")
    )
    # Taken out of the session, so that a reload does not show the link again.
    pk = request.session.pop(_HANDOVER, None)
    invitation = Invitation.objects.open().filter(pk=pk).first() if pk else None
    handover = {}
    if invitation:
        text = gettext(
            "No mail was sent. Give this link to %(email)s yourself, in a way that no one else can read: "
            "anyone who opens it becomes staff. It is not shown again."
        )
        handover = {"text": text % {"email": invitation.email}, "link": link_of(invitation)}
    return _page(
        request,
        "console/staff_list.html",
        title=_("Staff"),
        form=form,
        staff=staff,
        invitations=Invitation.objects.open().order_by("email"),
        now=database_now(),
        handover=handover,
    )


@require_http_methods(["GET", "HEAD", "POST"])
def staff_member(request: HttpRequest, user_id: UUID) -> HttpResponse:
    _superusers_only(request)
    user = get_object_or_404(User, Q(is_staff=True) | Q(is_superuser=True), pk=user_id)
    if request.method == "POST" and "forget" in request.POST:
        reset_second_factor(user_id=user.pk, by=Actor.of_request(request), now=database_now())
        return _back(request, _("The second factor was reset. The next sign-in sets up another one."))
    roles = sorted(user.groups.values_list("name", flat=True))
    form = RolesForm(request.POST if request.method == "POST" else None, initial={"roles": roles})
    if request.method == "POST" and form.is_valid():
        try:
            change_roles(user_id=user.pk, by=Actor.of_request(request), **form.cleaned_data)
            return _back(request, _("The roles were saved."))
        except StaffChangeRefused as error:
            form.add_error(None, str(error.detail))
    factors = Authenticator.objects.filter(user=user).order_by("id")
    return _page(
        request, "console/staff_member.html", title=str(user), form=form, member=user, factors=factors
    )


def _superusers_only(request: HttpRequest) -> None:
    if not (request.user.is_active and getattr(request.user, "is_superuser", False)):
        raise PermissionDenied


def _back(request: HttpRequest, message: Any) -> HttpResponse:
    messages.success(request, message)
    return HttpResponseRedirect(reverse("admin:staff"))


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    return TemplateResponse(request, template, admin.site.each_context(request) | context)
