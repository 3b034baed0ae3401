from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from medications.models import COLOR_TAG_PATTERN, Medication
from medtrack.http.fields import CalendarDateField, IdField


class ColorTagField(serializers.RegexField):
    expected = _("This must be a colour as # and six hexadecimal digits. Example: #1D9E75")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(COLOR_TAG_PATTERN, max_length=7, **kwargs)


class MedicationInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    dosage = serializers.CharField(max_length=100, allow_blank=True, required=False)
    form = serializers.ChoiceField(Medication.Form.choices, required=False)
    strength = serializers.CharField(max_length=50, allow_blank=True, required=False)
    unit = serializers.CharField(max_length=30, allow_blank=True, required=False)
    color_tag = ColorTagField(required=False)
    memo = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    expires_on = CalendarDateField(allow_null=True, required=False)


class MedicationsQuery(serializers.Serializer[Any]):
    is_active = serializers.BooleanField(required=False)
    is_paused = serializers.BooleanField(required=False)


class NewMedicationInput(MedicationInput):
    id = IdField(required=False)


class CloneInput(serializers.Serializer[Any]):
    id = IdField(required=False)
    name = serializers.CharField(
        max_length=200, required=False, help_text="By default the name of the copied medication."
    )


class MedicationOutput(serializers.ModelSerializer[Medication]):
    class Meta:
        model = Medication
        fields = [
            "id",
            "name",
            "dosage",
            "form",
            "strength",
            "unit",
            "color_tag",
            "memo",
            "is_active",
            "paused_at",
            "expires_on",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields
