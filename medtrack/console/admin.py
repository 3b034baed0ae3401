from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from medtrack.console.models import AccessLog, Patient
from medtrack.console.patient import device as device_page
from medtrack.console.patient import trace as trace_page
from medtrack.console.patient.page import PatientPage
from medtrack.console.patients.page import PatientList
from users.models import User
from users.read_only_admin import ReadOnlyAdmin


@admin.register(Patient)
class PatientAdmin(PatientList, PatientPage, ReadOnlyAdmin[Patient]):
    person = ""


class StaffFilter(admin.SimpleListFilter):
    """By who is staff now; the log itself would have to be read through to tell who ever was."""

    title = _("staff")
    parameter_name = "staff"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        staff = User.objects.filter(is_staff=True).order_by("email")
        return [(str(user.pk), user.email or str(user.pk)) for user in staff]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AccessLog]) -> QuerySet[AccessLog]:
        known = {str(value) for value, _name in self.lookup_choices}
        chosen = self.value()
        return queryset.filter(staff=UUID(chosen)) if chosen in known else queryset


@admin.register(AccessLog)
class AccessLogAdmin(ReadOnlyAdmin[AccessLog]):
    """Who of the staff looked at whose data. For superusers: no role has the right to see it."""

    shows_patients = False
    list_display = ("at", "who", "action", "page", "patient_id", "details", "address")
    list_filter = ("action", "at", StaffFilter)
    search_fields = ("=patient_id", "=staff__email")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessLog]:
        """Also of whoever is gone: a join would leave those rows out."""
        return super().get_queryset(request).prefetch_related("staff")

    @admin.display(description=_("staff"), ordering="staff")
    def who(self, access: AccessLog) -> str:
        if access.staff_id is None:
            return f"manage.py ({access.details.get('by', '')})"
        return str(access.staff)


trace_page.use_in(admin.site)
device_page.use_in(admin.site)
