from django.contrib import admin

from medtrack.common.admin import ReadOnlyAdmin
from medtrack.console import device_page, trace_page
from medtrack.console.models import Patient
from medtrack.console.person import PatientPage


@admin.register(Patient)
class PatientAdmin(PatientPage, ReadOnlyAdmin[Patient]):
    list_display = ("name", "email", "timezone")


trace_page.use_in(admin.site)
device_page.use_in(admin.site)
