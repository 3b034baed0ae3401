from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from notifications.models import DeviceToken, EngineCheck, NotificationLog, PushDelivery
from notifications.querysets import FINAL_STATUSES, NO_DEVICE, FinalStatus, NotificationLogQuerySet
from users.read_only_admin import GuardedInline, ReadOnlyAdmin

FINAL_STATUS_NAMES = {
    FinalStatus.SENT: _("sent in time"),
    FinalStatus.LATE: _("sent late"),
    FinalStatus.FAILED: _("failed: it expired unsent"),
    FinalStatus.DEAD: _("dead: no device took it"),
}


class PushDeliveryInline(GuardedInline[PushDelivery]):
    model = PushDelivery
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


class FinalStatusFilter(admin.SimpleListFilter):
    title = _("what became of it")
    parameter_name = "final_status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        statuses = [(status.value, FINAL_STATUS_NAMES[status]) for status in FinalStatus]
        return [*statuses, ("no_device", _("not sent: there was no device"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[NotificationLog]
    ) -> QuerySet[NotificationLog]:
        condition = (
            NO_DEVICE if self.value() == "no_device" else FINAL_STATUSES.get(cast(FinalStatus, self.value()))
        )
        return (
            cast(NotificationLogQuerySet, queryset).about_doses().filter(condition) if condition else queryset
        )


@admin.register(NotificationLog)
class NotificationLogAdmin(ReadOnlyAdmin[NotificationLog]):
    list_display = ("send_at", "user", "kind", "step", "status", "reason", "attempts", "sent_at")
    list_filter = (FinalStatusFilter, "status", "kind", "reason")
    list_select_related = ("user",)
    search_fields = ("user__email", "user__name", "id", "dose__id")
    ordering = ("-id",)
    inlines = (PushDeliveryInline,)


@admin.register(DeviceToken)
class DeviceTokenAdmin(ReadOnlyAdmin[DeviceToken]):
    """The token is a secret and never shown. The user and the session are shown only with permission."""

    guarded = {"user": "users.view_user", "session": "users.view_session"}
    list_display = (
        "user",
        "platform",
        "app_version",
        "last_seen_at",
        "suspect_since",
        "silent_since",
        "revoked_at",
        "revoke_reason",
    )
    list_filter = (
        "platform",
        ("silent_since", admin.EmptyFieldListFilter),
        ("suspect_since", admin.EmptyFieldListFilter),
        "revoke_reason",
    )
    list_select_related = ("user",)
    search_fields = ("user__email", "user__name", "id")
    exclude = ("token",)
    ordering = ("-last_seen_at",)


@admin.register(PushDelivery)
class PushDeliveryAdmin(ReadOnlyAdmin[PushDelivery]):
    """Shows only the id of the reminder: the permission does not include doses."""

    person = "device__user"
    guarded = {"notification": "notifications.view_notificationlog"}
    list_display = (
        "answered_at",
        "platform",
        "outcome",
        "error_code",
        "attempts",
        "arrived_at",
        "shown_at",
        "message_id",
    )
    list_filter = ("outcome", "error_code", "device__platform")
    list_select_related = ("device",)
    search_fields = ("=id", "=device__id", "=message_id")
    fields = (
        "notification_id",
        "device",
        "outcome",
        "message_id",
        "error_code",
        "attempts",
        "earlier",
        "claimed_at",
        "answered_at",
        "arrived_at",
        "shown_at",
        "opened_at",
    )
    ordering = ("-id",)

    @admin.display(description=_("platform"), ordering="device__platform")
    def platform(self, delivery: PushDelivery) -> str:
        return delivery.device.get_platform_display()

    def patient_of(self, obj: Any) -> UUID | None:
        return obj.device.user_id  # type: ignore[no-any-return]


@admin.register(EngineCheck)
class EngineCheckAdmin(ReadOnlyAdmin[EngineCheck]):
    """The results of the nightly checks."""

    shows_patients = False
    list_display = ("ran_at", "seconds", "violations")
    ordering = ("-id",)
