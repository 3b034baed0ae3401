"""Django's password validation, with the API's validation errors."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from users.models import User

# By the codes of Django's validators, whose own sentences do not all say what would be right.
_SENTENCES = {
    "password_too_short": _("A password must have at least %(min_length)s characters."),
    "password_too_common": _("This password is too common. Choose several words that nobody would guess."),
    "password_entirely_numeric": _("A password must also have letters or signs, not digits alone."),
    "password_too_similar": _("A password must not be like the e-mail or the name. Choose other words."),
}


def refuse_weak(password: str, *, of: User, field: str) -> None:
    """Raises DRF's ValidationError with the name of the field."""
    try:
        validate_password(password, of)
    except ValidationError as error:
        reasons = [
            ErrorDetail(str(_SENTENCES[str(reason.code)]) % (reason.params or {}), code=str(reason.code))
            for reason in error.error_list
        ]
        raise serializers.ValidationError({field: reasons}) from error
