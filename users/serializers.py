from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from medtrack.http.fields import IdField, InstantField
from users.email_addresses import canonical_email
from users.models import Session, Trip, User
from users.password_rules import refuse_weak
from users.zones import ZONES


class ZoneField(serializers.CharField):
    """An IANA time zone name."""

    expected = _("This must be the name of a time zone in the IANA database. Example: Asia/Seoul")
    default_error_messages = {"unknown_zone": expected}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=64, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        name: str = super().to_internal_value(data)
        if name not in ZONES:
            self.fail("unknown_zone")
        return name


class EmailField(serializers.EmailField):
    """An address in the form that is stored."""

    def to_internal_value(self, data: Any) -> str:
        try:
            return canonical_email(super().to_internal_value(data))
        except ValidationError as error:
            raise serializers.ValidationError(error.messages, code="invalid") from error


class PasswordField(serializers.CharField):
    """Limited in length, because the time to hash grows with it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=128, trim_whitespace=False, write_only=True, **kwargs)


class FollowUpIntervalField(serializers.IntegerField):
    """Minutes between a reminder and its follow-up while the dose is pending."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=5, max_value=240, **kwargs)


class FollowUpCapField(serializers.IntegerField):
    """The greatest number of follow-ups of a reminder."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=10, **kwargs)


class SignUpInput(serializers.Serializer[Any]):
    email = EmailField(max_length=254)
    password = PasswordField()
    name = serializers.CharField(max_length=100, default="", allow_blank=True)
    timezone = ZoneField(default="Asia/Seoul")
    language = serializers.ChoiceField(settings.LANGUAGES, default="ko")
    device_name = serializers.CharField(max_length=100, default="", allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        refuse_weak(attrs["password"], of=User(email=attrs["email"], name=attrs["name"]), field="password")
        return attrs


class LogInInput(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    password = PasswordField()
    device_name = serializers.CharField(max_length=100, default="", allow_blank=True)
    device_secret = serializers.CharField(
        max_length=256,
        default="",
        allow_blank=True,
        write_only=True,
        help_text=(
            "The latest `device_secret` that this device got for this account. With it the device can sign in even "
            "while others guess the account's password. An invalid one is ignored."
        ),
    )
    end_session = IdField(
        required=False,
        write_only=True,
        help_text="The id of a session to end, after the error that there are too many.",
    )


class RefreshInput(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=256)


class SocialInput(serializers.Serializer[Any]):
    provider = serializers.ChoiceField(list(settings.SOCIAL_ISSUERS))
    id_token = serializers.CharField(max_length=8192, write_only=True)
    nonce = serializers.CharField(max_length=255, required=False, write_only=True)
    device_name = serializers.CharField(max_length=100, default="", allow_blank=True)
    end_session = IdField(
        required=False,
        write_only=True,
        help_text="The id of a session to end, after the error that there are too many.",
    )


class ForgotPasswordInput(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)


class ResetPasswordInput(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=128, write_only=True)
    password = PasswordField()


class ChangePasswordInput(serializers.Serializer[Any]):
    password = PasswordField(help_text="The present password.")
    new_password = PasswordField()


class VerifyEmailInput(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=128, write_only=True)


class SessionOutput(serializers.ModelSerializer[Session]):
    is_current = serializers.BooleanField()

    class Meta:
        model = Session
        fields = ["id", "device_name", "created_at", "last_used_at", "expires_at", "is_current"]
        read_only_fields = fields


class ErasureInput(serializers.Serializer[Any]):
    password = serializers.CharField(
        max_length=128,
        trim_whitespace=False,
        write_only=True,
        required=False,
        help_text="Required if the account has a password. Otherwise sign in within the ten minutes before.",
    )


class UserOutput(serializers.ModelSerializer[User]):
    computed = {"moved_doses", "warnings"}  # The answer to a change has them.

    class Meta:
        model = User
        fields = [
            "id",
            "email",
            "email_verified_at",
            "name",
            "timezone",
            "language",
            "provider",
            "private_push_text",
            "follow_up_interval_minutes",
            "follow_up_cap",
            "week_start",
            "created_at",
        ]
        read_only_fields = fields


class ProfileInput(serializers.Serializer[Any]):
    elsewhere = {
        "email_verified_at": "POST /api/v1/auth/email/verify",
        "password": "POST /api/v1/auth/password/change",
        "quiet_hours": "PUT /api/v1/notifications/settings",
    }

    name = serializers.CharField(max_length=100, allow_blank=True, required=False)
    timezone = ZoneField(required=False)
    language = serializers.ChoiceField(settings.LANGUAGES, required=False)
    private_push_text = serializers.BooleanField(required=False)
    follow_up_interval_minutes = FollowUpIntervalField(required=False)
    follow_up_cap = FollowUpCapField(required=False)
    week_start = serializers.IntegerField(min_value=1, max_value=7, required=False)
    dry_run = serializers.BooleanField(
        required=False, help_text="True: answers what would happen, and changes nothing."
    )


class TripInput(serializers.Serializer[Any]):
    id = IdField(required=False)
    timezone = ZoneField()
    starts_at = InstantField()
    ends_at = InstantField(
        required=False, allow_null=True, help_text="Null: until the time zone is changed again."
    )


class TripOutput(serializers.ModelSerializer[Trip]):
    class Meta:
        model = Trip
        fields = ["id", "timezone", "starts_at", "ends_at", "started_at", "ended_at", "created_at"]
        read_only_fields = fields


class TripsOutput(serializers.Serializer[Any]):
    results = TripOutput(many=True)


class CredentialsOutput(serializers.Serializer[Any]):
    user = UserOutput()
    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in = serializers.IntegerField()
    device_secret = serializers.CharField(
        help_text=(
            "Opaque. Keep it after signing out, and send it when this account signs in on this device the next time."
        )
    )
