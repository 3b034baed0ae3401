from django.contrib import admin

from medications.models import Medication
from users.read_only_admin import ReadOnlyAdmin


@admin.register(Medication)
class MedicationAdmin(ReadOnlyAdmin[Medication]):
    guarded = {"memo": "console.read_notes"}
    list_display = ("name", "user", "dosage", "form", "is_active", "paused_at", "created_at")
    list_filter = ("is_active", "form")
    list_select_related = ("user",)
    search_fields = ("name", "user__email", "user__name", "id")
    ordering = ("-id",)
