from django.contrib import admin

from medtrack.common.admin import ReadOnlyAdmin
from notifications.models import DeviceToken, NotificationLog, PushDelivery


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
