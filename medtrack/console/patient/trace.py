"""The page that explains why a reminder of a dose was sent or not.

It shows no text that the patient wrote.
"""

from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from medtrack.console.patient.page import PAGE
from medtrack.database.clock import database_now
from notifications.trace import trace
from notifications.trace_history import history_of
from users.access_log import record_access
from users.models import AccessLog
from users.read_only_admin import is_superuser

# Staff who may see the patient, or both of these tables.
TABLES = ("notifications.view_notificationlog", "dosing.view_doselog")


def dose_trace(request: HttpRequest, dose_id: UUID) -> HttpResponse:
    """Also of a dose that was deleted, as long as its reminders are kept."""
    sees_patients = request.user.has_perm("console.view_patient")
    if not (sees_patients or request.user.has_perms(TABLES)):
        raise PermissionDenied
    history = history_of(dose_id, now=database_now())
    # As if there were no such dose: other staff are not to learn of a colleague's own.
    if not history.user.is_patient and not is_superuser(request):
        raise Http404
    record_access(request, AccessLog.Action.VIEW, patient_id=history.user.id, object_id=dose_id)
    traced = trace(history)
    devices = {device.id: device for device in history.devices}
    has_page = sees_patients and history.user.is_patient
    context = {
        **admin.site.each_context(request),
        "history": history,
        "verdict": traced.verdict,
        "decisions": [
            (decision, decision.device_id and devices.get(decision.device_id))
            for decision in traced.decisions
        ],
        "patient_page": reverse(PAGE, args=[history.user.id]) if has_page else "",
    }
    return TemplateResponse(request, "console/trace.html", context)
