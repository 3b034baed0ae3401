from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from medtrack.http.fields import CalendarDateField, IdField, InstantField, WallTimeField
from notifications.actions import PushState
from notifications.explanations import PresenceCode, TraceCode, VerdictCode
from notifications.inbox import KINDS
from notifications.models import MAX_TOKEN_LENGTH, TOKEN_PATTERN, DeviceToken, NotificationLog
from users.models import User
from users.serializers import FollowUpCapField, FollowUpIntervalField


class PushTokenField(serializers.RegexField):
    expected = format_lazy(
        _("This must be the registration token of FCM: at most {most} ASCII characters without spaces."),
        most=MAX_TOKEN_LENGTH,
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(TOKEN_PATTERN, max_length=MAX_TOKEN_LENGTH, **kwargs)


class DeviceInput(serializers.Serializer[Any]):
    token = PushTokenField()
    platform = serializers.ChoiceField(DeviceToken.Platform.choices)
    device_id = serializers.CharField(max_length=200, allow_blank=True, default="")
    app_version = serializers.CharField(max_length=50, allow_blank=True, default="")


class DeviceOutput(serializers.ModelSerializer[DeviceToken]):
    # A token is registered anew with every start of an app, which may send all it knows of the device.
    computed = {"id", "last_seen_at", "silent_since", "revoked_at", "revoke_reason", "created_at"}

    class Meta:
        model = DeviceToken
        fields = [
            "id",
            "platform",
            "device_id",
            "app_version",
            "last_seen_at",
            "silent_since",
            "revoked_at",
            "revoke_reason",
            "created_at",
        ]
        read_only_fields = fields


class TestPushOutput(serializers.ModelSerializer[NotificationLog]):
    class Meta:
        model = NotificationLog
        fields = ["id", "kind", "status", "send_at", "expires_at"]
        read_only_fields = fields


class AcknowledgementInput(serializers.Serializer[Any]):
    state = serializers.ChoiceField(
        [state.value for state in PushState],
        help_text="`opened` implies `shown`, and `shown` implies `arrived`, unless they were acknowledged before.",
    )
    occurred_at = InstantField(required=False, help_text="Now by default.")


class AcknowledgementOutput(serializers.Serializer[Any]):
    notification_id = serializers.UUIDField()
    arrived_at = serializers.DateTimeField(allow_null=True)
    shown_at = serializers.DateTimeField(allow_null=True)
    opened_at = serializers.DateTimeField(allow_null=True)


class NotificationsQuery(serializers.Serializer[Any]):
    unread = serializers.BooleanField(
        required=False, help_text="Only pushes that are not read, or only those that are."
    )


class NotificationOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="The `notification_id` of the push's data.")
    kind = serializers.ChoiceField(KINDS)
    title = serializers.CharField(help_text="In the caller's language, as is `body`.")
    body = serializers.CharField(
        help_text="Names medications only if the current settings permit it in pushes."
    )
    dose_ids = serializers.ListField(child=serializers.UUIDField())
    sent_at = serializers.DateTimeField()
    read_at = serializers.DateTimeField(allow_null=True)


class NotificationsOutput(serializers.Serializer[Any]):
    results = NotificationOutput(many=True)
    next_cursor = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()


class ReadAllInput(serializers.Serializer[Any]):
    until = InstantField(required=False, help_text="Only pushes that were sent until then; by default all.")


class QuietHoursInput(serializers.Serializer[Any]):
    """Wall clock times in the user's zone.

    An end before the start is on the next day; equal times are a whole day.
    """

    start_time = WallTimeField()
    end_time = WallTimeField()


class QuietHoursOutput(serializers.Serializer[Any]):
    start_time = WallTimeField(source="quiet_hours_start_time")
    end_time = WallTimeField(source="quiet_hours_end_time")

    def get_attribute(self, user: User) -> User | None:
        return None if user.quiet_hours_start_time is None else user


class NotificationSettingsInput(serializers.Serializer[Any]):
    elsewhere = dict.fromkeys(("timezone", "language", "week_start"), "PATCH /api/v1/me")

    quiet_hours = QuietHoursInput(
        allow_null=True,
        help_text="Follow-ups are not sent in these hours; reminders of due doses are. Null for none.",
    )
    private_push_text = serializers.BooleanField(help_text="Whether pushes hide the medication's name.")
    follow_up_interval_minutes = FollowUpIntervalField()
    follow_up_cap = FollowUpCapField()


class NotificationSettingsOutput(serializers.ModelSerializer[User]):
    quiet_hours = QuietHoursOutput(allow_null=True)

    class Meta:
        model = User
        fields = ["quiet_hours", "private_push_text", "follow_up_interval_minutes", "follow_up_cap"]
        read_only_fields = fields


class VerdictOutput(serializers.Serializer[Any]):
    code = serializers.ChoiceField([code.value for code in VerdictCode])
    reason = serializers.CharField(help_text="A reason of the engine or FCM's error code; may be empty.")
    detail = serializers.CharField(help_text="In the caller's language.")


class DecisionOutput(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    code = serializers.ChoiceField([code.value for code in TraceCode])
    notification_id = serializers.UUIDField(allow_null=True)
    kind = serializers.ChoiceField(NotificationLog.Kind.choices, allow_null=True)
    step = serializers.IntegerField(allow_null=True)
    device_id = serializers.UUIDField(allow_null=True)
    attempt = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField(help_text="A reason of the engine or FCM's error code; may be empty.")
    detail = serializers.CharField(help_text="In the caller's language.")


class TraceOutput(serializers.Serializer[Any]):
    dose_id = serializers.UUIDField()
    verdict = VerdictOutput(help_text="Why no reminder was sent, or how far the push of one got.")
    decisions = DecisionOutput(many=True)


class PresenceQuery(serializers.Serializer[Any]):
    schedule = IdField(help_text="Also one that was deleted.")
    date = CalendarDateField(help_text="The log date of the dose.")
    ordinal = serializers.IntegerField(
        min_value=0,
        max_value=255,
        default=0,
        help_text="Which dose of the date: 1 for a date that travel makes happen twice.",
    )


class PresenceOutput(serializers.Serializer[Any]):
    schedule_id = serializers.UUIDField(source="plan.schedule.id")
    date = CalendarDateField(source="plan.log_date")
    ordinal = serializers.IntegerField(source="plan.ordinal")
    dose_id = serializers.UUIDField(help_text="The id that the dose has or would have.")
    code = serializers.ChoiceField([code.value for code in PresenceCode])
    detail = serializers.CharField(help_text="In the caller's language.")
    due_at = serializers.DateTimeField(
        source="finding.due_at",
        allow_null=True,
        help_text="When the dose is due, or would have been due. Null if no rule has or had it.",
    )
    changed_at = serializers.DateTimeField(
        source="finding.changed_at",
        allow_null=True,
        help_text="When the change was made that is the reason. Null if it is no change.",
    )
    changed_by = serializers.UUIDField(
        source="finding.changed_by.id",
        allow_null=True,
        default=None,
        help_text="Who made it. Null if it is not recorded.",
    )
    trace = TraceOutput(allow_null=True, help_text="Of a dose that is written.")
