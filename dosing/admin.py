from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from dosing.models import DoseEvent, DoseLog, Schedule
from dosing.querysets import DoseLogQuerySet
from medtrack.database.clock import database_now
from users.read_only_admin import GuardedInline, ReadOnlyAdmin


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin[Schedule]):
    person = "medication__user"
    list_display = ("medication", "scheduled_time", "cycle_type", "is_active", "planned_until", "plan_error")
    list_filter = ("is_active", "cycle_type", ("plan_error", admin.EmptyFieldListFilter))
    list_select_related = ("medication",)
    search_fields = ("medication__name", "medication__user__email", "id")
    ordering = ("-id",)

    def patient_of(self, obj: Any) -> UUID | None:
        return obj.medication.user_id  # type: ignore[no-any-return]


class DoseEventInline(GuardedInline[DoseEvent]):
    model = DoseEvent
    guarded = {"payload": "console.read_notes"}
    fields = readonly_fields = ("action", "occurred_at", "recorded_at", "recorded_by", "payload")


class TodayFilter(admin.SimpleListFilter):
    """Each patient's local day."""

    title = _("their today")
    parameter_name = "today"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("due", _("due by now")), ("open", _("still open")), ("later", _("later"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DoseLog]) -> QuerySet[DoseLog]:
        now = database_now()
        today = cast(DoseLogQuerySet, queryset).of_today(now=now)
        chosen = {"due": today.due, "open": today.still_open, "later": today.later}.get(self.value() or "")
        return chosen(now=now) if chosen else queryset


@admin.register(DoseLog)
class DoseLogAdmin(ReadOnlyAdmin[DoseLog]):
    guarded = {"note": "console.read_notes", "skip_reason": "console.read_notes"}
    list_display = ("log_date", "user", "medication_then", "scheduled_time", "status", "taken_at", "due_at")
    list_filter = (TodayFilter, "status", "log_date")
    list_select_related = ("user", "medication")
    search_fields = ("user__email", "user__name", "medication__name", "id")
    ordering = ("-log_date", "-due_at")
    readonly_fields = ("medication_then",)
    inlines = (DoseEventInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DoseLog]:
        return cast(DoseLogQuerySet, super().get_queryset(request)).described()

    @admin.display(description=_("medication as taken"), ordering="medication")
    def medication_then(self, dose: DoseLog) -> str:
        """As it was described when the dose was answered."""
        medication = dose.medication_as_taken
        return f"{medication.name} {medication.strength} {medication.unit}".strip()
