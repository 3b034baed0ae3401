from typing import Any

from rest_framework import serializers

from notifications.models import MAX_TOKEN_LENGTH, TOKEN_PATTERN, DeviceToken


class DeviceInput(serializers.Serializer[Any]):
    token = serializers.RegexField(TOKEN_PATTERN, max_length=MAX_TOKEN_LENGTH)
    platform = serializers.ChoiceField(DeviceToken.Platform.choices)
    device_id = serializers.CharField(max_length=200, allow_blank=True, default="")
    app_version = serializers.CharField(max_length=50, allow_blank=True, default="")


class DeviceOutput(serializers.ModelSerializer[DeviceToken]):
    class Meta:
        model = DeviceToken
        fields = [
            "id",
            "platform",
            "device_id",
            "app_version",
            "last_seen_at",
            "revoked_at",
            "revoke_reason",
            "created_at",
        ]
        read_only_fields = fields
