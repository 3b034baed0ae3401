"""The pages that explain why a reminder of a dose was sent or not, and why a date has a dose or none.

They show no text that the patient wrote.
"""

from uuid import UUID

from django.contrib import admin
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from dosing.models import Schedule
from medtrack.console.patient.page import PAGE, patient_or_404
from medtrack.database.clock import database_now
from medtrack.http.pagination import local_date
from notifications.trace import trace
from notifications.trace_history import history_of
from notifications.trace_presence import Presence, presence_of
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


def date_trace(request: HttpRequest, patient_id: str) -> HttpResponse:
    """Asks for a schedule and a date, and explains why there is a dose or none."""
    if not request.user.has_perm("console.view_patient"):
        raise PermissionDenied
    patient = patient_or_404(patient_id)
    record_access(request, AccessLog.Action.VIEW, patient_id=patient.id, object_id=patient.id)
    schedules = Schedule.objects.filter(medication__user=patient).select_related("medication")
    context = {
        **admin.site.each_context(request),
        "patient": patient,
        "patient_page": reverse(PAGE, args=[patient.id]),
        # Also deleted ones, about which it is asked most.
        "schedules": schedules.defer("medication__memo").order_by("medication__name", "scheduled_time", "id"),
        "chosen": request.GET.get("schedule", ""),
        "date": request.GET.get("date", ""),
        "presence": _presence(request, patient.id) if "schedule" in request.GET else None,
    }
    return TemplateResponse(request, "console/date_trace.html", context)


def _presence(request: HttpRequest, patient_id: UUID) -> Presence:
    """Raises BadRequest for an address that cannot be read, and Http404 for another person's schedule."""
    try:
        schedule_id, date = UUID(request.GET["schedule"]), local_date(request.GET.get("date", ""))
    except ValueError as error:
        raise BadRequest from error
    presence = presence_of(schedule_id, date, now=database_now())
    if presence.user.id != patient_id:
        raise Http404
    return presence
