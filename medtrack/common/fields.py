"""Serializer fields whose written form is part of the contract."""

from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


@extend_schema_field({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "example": "08:00"})
class WallTimeField(serializers.TimeField):
    """A wall clock time of day, `HH:MM`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%H:%M", input_formats=["%H:%M"], **kwargs)


class QuantityField(serializers.DecimalField):
    """An amount of medicine as a decimal string, more than zero, without trailing zeros."""

    def __init__(self, **kwargs: Any) -> None:
        least = Decimal("0.001")
        super().__init__(max_digits=9, decimal_places=3, min_value=least, normalize_output=True, **kwargs)


class ZoneField(serializers.CharField):
    """An IANA time zone name."""

    default_error_messages = {"unknown_zone": _("This is not a time zone of the IANA database.")}

    def to_internal_value(self, data: Any) -> str:
        name: str = super().to_internal_value(data)
        if name not in available_timezones():
            self.fail("unknown_zone")
        return name
