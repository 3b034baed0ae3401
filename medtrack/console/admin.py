from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from medtrack.console.models import Patient
from medtrack.console.patient.action_pages import patient_action
from medtrack.console.patient.page import patient_page
from medtrack.console.patient.trace import date_trace
from medtrack.console.patients.page import export_page, patient_list
from users.read_only_admin import ReadOnlyAdmin


@admin.register(Patient)
class PatientAdmin(ReadOnlyAdmin[Patient]):
    """Replaces the stock list and form of patients by the console's own pages."""

    person = ""

    def get_urls(self) -> list[URLPattern]:
        trace = self.admin_site.admin_view(date_trace)
        export, action = self.admin_site.admin_view(export_page), self.admin_site.admin_view(patient_action)
        return [
            path("export/", export, name="console_patient_export"),
            path("<str:patient_id>/trace/", trace, name="console_patient_trace"),
            path("<str:patient_id>/do/<str:name>/", action, name="console_patient_act"),
            path("<str:patient_id>/do/<str:name>/<str:target_id>/", action, name="console_patient_act_on"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return patient_list(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return patient_page(request, object_id)
