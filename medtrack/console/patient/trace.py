"""Why a reminder came or did not, for who may look at the patient; whoever looks is written down."""

from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from medtrack.console.patient.page import PAGE
from notifications.admin import NotificationLogAdmin
from notifications.models import NotificationLog


class TracingNotificationLogAdmin(NotificationLogAdmin):
    def may_trace(self, request: HttpRequest) -> bool:
        """A trace tells nothing that somebody wrote, so who sees the patient sees it too."""
        return request.user.has_perm("console.view_patient") or super().may_trace(request)

    def dose_trace(self, request: HttpRequest, dose_id: UUID) -> HttpResponse:
        response = super().dose_trace(request, dose_id)
        if isinstance(response, TemplateResponse) and response.context_data:
            user = response.context_data["history"].user
            if request.user.has_perm("console.view_patient") and user.is_patient:
                response.context_data["patient_page"] = reverse(PAGE, args=[user.id])
        return response


def use_in(site: admin.AdminSite) -> None:
    site.unregister(NotificationLog)
    site.register(NotificationLog, TracingNotificationLogAdmin)
