"""Ranges of local dates."""

from typing import Any

from rest_framework import serializers

from medtrack.http.fields import (
    CalendarDateField,
)


class SpanQuery(serializers.Serializer[Any]):
    to = CalendarDateField(required=False, help_text="The last local date.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            "from": CalendarDateField(required=False, help_text="The first local date."),
            **super().get_fields(),
        }


class SpanOutput(serializers.Serializer[Any]):
    to = CalendarDateField()
    timezone = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from": CalendarDateField(), **super().get_fields()}
