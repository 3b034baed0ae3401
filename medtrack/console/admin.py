from django.contrib import admin

from medtrack.console.models import Patient
from medtrack.console.patient import action_pages as device_page
from medtrack.console.patient import trace as trace_page
from medtrack.console.patient.page import PatientPage
from medtrack.console.patients.page import PatientList
from users.read_only_admin import ReadOnlyAdmin


@admin.register(Patient)
class PatientAdmin(PatientList, PatientPage, ReadOnlyAdmin[Patient]):
    person = ""


trace_page.use_in(admin.site)
device_page.use_in(admin.site)
