from typing import Any
from uuid import UUID

from django.contrib import admin

from dosing.models import DoseEvent, DoseLog, Schedule
from medtrack.common.admin import READ_NOTES, GuardedInline, ReadOnlyAdmin


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin[Schedule]):
    list_display = ("medication", "scheduled_time", "cycle_type", "is_active", "next_due_at", "plan_error")
    list_filter = ("is_active", "cycle_type")
    list_select_related = ("medication",)
    search_fields = ("medication__name", "medication__user__email", "id")
    ordering = ("-id",)

    def patient_of(self, obj: Any) -> UUID | None:
        return obj.medication.user_id  # type: ignore[no-any-return]


class DoseEventInline(GuardedInline[DoseEvent]):
    model = DoseEvent
    guarded = {"payload": READ_NOTES}
    fields = readonly_fields = ("action", "occurred_at", "recorded_at", "recorded_by", "payload")


@admin.register(DoseLog)
class DoseLogAdmin(ReadOnlyAdmin[DoseLog]):
    guarded = {"note": READ_NOTES, "skip_reason": READ_NOTES}
    list_display = ("log_date", "user", "medication", "scheduled_time", "status", "taken_at", "due_at")
    list_filter = ("status", "log_date")
    list_select_related = ("user", "medication")
    search_fields = ("user__email", "user__name", "medication__name", "id")
    ordering = ("-log_date", "-due_at")
    inlines = (DoseEventInline,)
