from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from medtrack.common.admin import ReadOnlyAdmin
from medtrack.common.clock import database_now
from notifications.histories import history_of
from notifications.models import DeviceToken, EngineCheck, NotificationLog, PushDelivery
from notifications.trace import trace


class PushDeliveryInline(admin.TabularInline[PushDelivery, NotificationLog]):
    model = PushDelivery
    extra = 0
    max_num = 0
    can_delete = False
    fields = readonly_fields = (
        "device",
        "outcome",
        "message_id",
        "error_code",
        "attempts",
        "answered_at",
        "arrived_at",
        "shown_at",
        "opened_at",
    )


@admin.register(NotificationLog)
class NotificationLogAdmin(ReadOnlyAdmin[NotificationLog]):
    list_display = ("send_at", "user", "kind", "step", "status", "reason", "attempts", "sent_at")
    list_filter = ("status", "kind", "reason")
    list_select_related = ("user",)
    search_fields = ("user__email", "user__name", "id", "dose__id")
    ordering = ("-id",)
    inlines = (PushDeliveryInline,)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.dose_trace)
        return [path("dose/<uuid:dose_id>/", page, name="notifications_dose_trace"), *super().get_urls()]

    def may_trace(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("dosing.view_doselog")

    def dose_trace(self, request: HttpRequest, dose_id: UUID) -> HttpResponse:
        """Why a reminder of this dose came or did not, also when the dose itself is gone."""
        if not self.may_trace(request):
            raise PermissionDenied
        history = history_of(dose_id, now=database_now())
        told = trace(history)
        devices = {device.id: device for device in history.devices}
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "history": history,
            "verdict": told.verdict,
            "decisions": [
                (decision, decision.device_id and devices.get(decision.device_id))
                for decision in told.decisions
            ],
        }
        return TemplateResponse(request, "admin/notifications/dose_trace.html", context)


@admin.register(DeviceToken)
class DeviceTokenAdmin(ReadOnlyAdmin[DeviceToken]):
    """The token itself is a secret of the phone and stays out of sight."""

    list_display = (
        "user",
        "platform",
        "app_version",
        "last_seen_at",
        "silent_since",
        "revoked_at",
        "revoke_reason",
    )
    list_filter = ("platform", ("silent_since", admin.EmptyFieldListFilter), "revoke_reason")
    list_select_related = ("user",)
    search_fields = ("user__email", "user__name", "id")
    exclude = ("token",)
    ordering = ("-last_seen_at",)


@admin.register(EngineCheck)
class EngineCheckAdmin(ReadOnlyAdmin[EngineCheck]):
    """What each night's look at the engine's invariants found."""

    list_display = ("ran_at", "seconds", "violations")
    ordering = ("-id",)
