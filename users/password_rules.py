"""Django's password validation, with the API's validation errors."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from rest_framework import serializers

from users.models import User


def refuse_weak(password: str, *, of: User, field: str) -> None:
    """Raises DRF's ValidationError with the name of the field."""
    try:
        validate_password(password, of)
    except ValidationError as error:
        reasons = serializers.as_serializer_error(error)["non_field_errors"]
        raise serializers.ValidationError({field: reasons}) from error
