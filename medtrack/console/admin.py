from django.contrib import admin

from medtrack.common.admin import ReadOnlyAdmin
from medtrack.console import device_page, trace_page
from medtrack.console.models import AccessLog, Patient
from medtrack.console.patient_list import PatientList
from medtrack.console.person import PatientPage


@admin.register(Patient)
class PatientAdmin(PatientList, PatientPage, ReadOnlyAdmin[Patient]):
    pass


@admin.register(AccessLog)
class AccessLogAdmin(ReadOnlyAdmin[AccessLog]):
    """Who of the staff looked at whose data. For superusers: no role has the right to see it."""

    shows_patients = False
    list_display = ("at", "staff", "action", "page", "patient_id", "details", "address")
    list_filter = ("action", "at", ("staff", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("staff",)
    search_fields = ("=patient_id", "=staff__email")
    ordering = ("-id",)


trace_page.use_in(admin.site)
device_page.use_in(admin.site)
