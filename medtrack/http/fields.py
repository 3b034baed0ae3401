"""Serializer fields that accept one written form only, where Python and DRF would accept more."""

import re
from datetime import datetime, timedelta, timezone
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from medtrack.http import expected, formats


@extend_schema_field({"type": "string", "pattern": f"^{formats.WALL_TIME.pattern}$", "example": "08:00"})
class WallTimeField(serializers.TimeField):
    """A wall clock time of day, `HH:MM`."""

    expected = expected.WALL_TIME

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="%H:%M", input_formats=["%H:%M"], **kwargs)

    def to_internal_value(self, value: Any) -> Any:
        if not _is(formats.WALL_TIME, value):
            self.fail("invalid", format="HH:MM")
        return super().to_internal_value(value)


class CalendarDateField(serializers.DateField):
    """A local date, `YYYY-MM-DD`, of the years 1900 to 2199."""

    expected = expected.CALENDAR_DATE

    def to_internal_value(self, value: Any) -> Any:
        if not _is(formats.DATE, value):
            self.fail("invalid", format="YYYY-MM-DD")
        return super().to_internal_value(value)


class InstantField(serializers.DateTimeField):
    """An instant in RFC 3339. The offset is required: without it the instant would be ambiguous."""

    expected = expected.INSTANT

    def to_internal_value(self, value: Any) -> Any:
        if not _is(formats.INSTANT, value):
            self.fail("invalid", format="YYYY-MM-DDThh:mm:ssZ")
        return super().to_internal_value(value)


class LocalInstantField(serializers.DateTimeField):
    """An instant in RFC 3339 with the offset of the value's zone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: datetime) -> str:
        # Offsets in RFC 3339 have no seconds. Some zones had them before the 1970s.
        offset = (value.utcoffset() or timedelta()) / timedelta(minutes=1)
        return value.astimezone(timezone(timedelta(minutes=round(offset)))).isoformat()


@extend_schema_field({"type": "string", "pattern": f"^{formats.QUANTITY.pattern}$", "example": "1.5"})
class QuantityField(serializers.DecimalField):
    """An amount of a medication: a decimal string, more than zero, without trailing zeros in responses."""

    expected = expected.QUANTITY

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=9, decimal_places=3, normalize_output=True, **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        if not _is(formats.QUANTITY, data) or not data.strip("0."):
            self.fail("invalid")
        return super().to_internal_value(data)


class IdField(serializers.UUIDField):
    """A UUID that the client generated, as a string."""

    expected = expected.ID

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


def _is(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
