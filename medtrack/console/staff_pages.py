"""Superusers' page about the staff: who is, as what, and with which second factor."""

from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from medtrack.console.access import record_access
from medtrack.console.models import AccessLog
from medtrack.console.staff import Refused, appoint_staff, change_roles, forget_factors
from users.models import User

ROLE_NAMES = {"support": _("support"), "clinician": _("clinician"), "operator": _("operator")}


class RolesForm(forms.Form):
    roles = forms.MultipleChoiceField(
        label=_("roles"), required=False, widget=forms.CheckboxSelectMultiple, choices=()
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Group.objects.order_by("name").values_list("name", flat=True)
        self.fields["roles"].choices = [(name, ROLE_NAMES.get(name, name)) for name in names]  # type: ignore[attr-defined]


class AppointForm(RolesForm):
    email = forms.EmailField(label=_("e-mail"), widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    field_order = ("email", "roles")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["roles"].required = True


@require_http_methods(["GET", "HEAD", "POST"])
def staff_list(request: HttpRequest) -> HttpResponse:
    _superusers_only(request)
    form = AppointForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                user = appoint_staff(**form.cleaned_data)
                _record(request, user, roles=form.cleaned_data["roles"])
            return _back(request, user, _("The roles were saved."))
        except Refused as error:
            form.add_error("email", str(error.detail))
    factors = Authenticator.objects.exclude(type=Authenticator.Type.RECOVERY_CODES)
    staff = (
        User.objects.filter(Q(is_staff=True) | Q(is_superuser=True))
        .prefetch_related("groups", Prefetch("authenticator_set", factors))
        .order_by("email")
    )
    return _page(
        request, "console/staff_list.html", title=_("Staff"), form=form, staff=staff, names=ROLE_NAMES
    )


@require_http_methods(["GET", "HEAD", "POST"])
def staff_member(request: HttpRequest, user_id: UUID) -> HttpResponse:
    _superusers_only(request)
    user = get_object_or_404(User, Q(is_staff=True) | Q(is_superuser=True), pk=user_id)
    if request.method == "POST" and "forget" in request.POST:
        with transaction.atomic():
            _record(request, user, forgotten_factors=forget_factors(user=user))
        return _back(request, user, _("The second factor is forgotten; the next sign-in asks for another."))
    held = sorted(user.groups.values_list("name", flat=True))
    form = RolesForm(request.POST if request.method == "POST" else None, initial={"roles": held})
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                change_roles(user=user, **form.cleaned_data)
                _record(request, user, roles=form.cleaned_data["roles"], before=held)
            return _back(request, user, _("The roles were saved."))
        except Refused as error:
            form.add_error(None, str(error.detail))
    factors = Authenticator.objects.filter(user=user).order_by("id")
    return _page(
        request, "console/staff_member.html", title=str(user), form=form, member=user, factors=factors
    )


def _superusers_only(request: HttpRequest) -> None:
    if not (request.user.is_active and getattr(request.user, "is_superuser", False)):
        raise PermissionDenied


def _record(request: HttpRequest, user: User, **details: Any) -> None:
    record_access(request, AccessLog.Action.ACT, object_id=user.pk, **details)


def _back(request: HttpRequest, user: User, message: Any) -> HttpResponse:
    messages.success(request, message)
    return HttpResponseRedirect(reverse("admin:staff"))


def _page(request: HttpRequest, template: str, **context: Any) -> HttpResponse:
    return TemplateResponse(request, template, admin.site.each_context(request) | context)
