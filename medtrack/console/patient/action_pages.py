"""Pages that ask for confirmation before an action for a patient.

They are reached from the patient's page or from a device's page. Staff who run the engine and may not see
patients use the device's pages, which show no patient.
"""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from medtrack.console.patient.actions import ACTIONS, PatientAction, Status, disabled_reason, perform
from medtrack.console.patient.page import PAGE, patient_or_404, uuid_or_404
from medtrack.database.clock import database_now
from notifications.models import DeviceToken
from users.access_log import Actor, record_access
from users.models import AccessLog, User
from users.querysets import is_patient
from users.read_only_admin import is_superuser

_LEVELS = {
    Status.DONE: messages.SUCCESS,
    Status.NOTHING_TO_DO: messages.WARNING,
    Status.REFUSED: messages.ERROR,
}


def patient_action(request: HttpRequest, patient_id: str, name: str, target_id: str = "") -> HttpResponse:
    """`target_id` is of the patient's device or session, for an action that needs one."""
    if not request.user.has_perm("console.view_patient"):
        raise PermissionDenied
    action = _permitted_action(request, name)
    patient = patient_or_404(patient_id)
    # An address with a device for an action that needs none, or the reverse, is no page.
    if (action.target is None) != (not target_id):
        raise Http404
    # Looked up among the patient's own, so that no address reaches another patient's device.
    target: Any = None
    if action.target is DeviceToken:
        devices = patient.devices.select_related("session").defer("token")
        target = get_object_or_404(devices, id=uuid_or_404(target_id))
    elif action.target:
        target = get_object_or_404(patient.sessions, id=uuid_or_404(target_id))
    back = reverse(PAGE, args=[patient.id])
    return _confirmation(request, action, patient=patient, target=target, back=back, shows_patient=True)


def device_action(request: HttpRequest, device_id: UUID, name: str) -> HttpResponse:
    if not request.user.has_perm("notifications.view_devicetoken"):
        raise PermissionDenied
    action = _permitted_action(request, name)
    if action.target is not DeviceToken:
        raise Http404
    devices = DeviceToken.objects.select_related("user", "session").defer("token")
    if not is_superuser(request):
        devices = devices.filter(is_patient("user__"))
    device = get_object_or_404(devices, id=device_id)
    back = reverse("admin:notifications_devicetoken_change", args=[device.id])
    return _confirmation(request, action, patient=device.user, target=device, back=back, shows_patient=False)


def _permitted_action(request: HttpRequest, name: str) -> PatientAction:
    """Raises Http404 and PermissionDenied."""
    if not (action := ACTIONS.get(name)):
        raise Http404
    if not request.user.has_perm(action.permission):
        raise PermissionDenied
    return action


def _confirmation(
    request: HttpRequest, action: PatientAction, *, patient: User, target: Any, back: str, shows_patient: bool
) -> HttpResponse:
    """A GET explains the action. A POST performs it and redirects to `back`, with a message."""
    if request.method == "POST":
        result = perform(
            action=action.name,
            patient_id=patient.id,
            target_id=target and target.id,
            by=Actor.of_request(request),
            now=database_now(),
        )
        # A redirect, so that a reload of the next page does not send the form again.
        messages.add_message(request, _LEVELS[result.status], result.message)
        return redirect(back)
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    # Only a GET: performing the action writes a record of its own.
    record_access(
        request, AccessLog.Action.VIEW, patient_id=patient.id, object_id=target.id if target else patient.id
    )
    context = {
        **admin.site.each_context(request),
        "title": action.label,
        "action": action,
        "patient": patient if shows_patient else None,
        "target": target,
        "disabled_reason": disabled_reason(action, patient=patient, target=target),
        "back": back,
    }
    return TemplateResponse(request, "admin/console/patient/confirm.html", context)
