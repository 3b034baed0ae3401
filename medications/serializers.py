from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from medications.models import COLOR_TAG_PATTERN, Medication, MedicationEvent
from medtrack.database.clock import process_now
from medtrack.http.fields import CalendarDateField, IdField, InstantField
from medtrack.http.preconditions import VersionField


class ColorTagField(serializers.RegexField):
    expected = _("This must be a colour as # and six hexadecimal digits. Example: #1D9E75")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(COLOR_TAG_PATTERN, max_length=7, **kwargs)


class MedicationInput(serializers.Serializer[Any]):
    elsewhere = {
        "paused_at": "POST /api/v1/medications/{id}/pause, /resume",
        "paused_until": "POST /api/v1/medications/{id}/pause, /resume",
        "is_paused": "POST /api/v1/medications/{id}/pause, /resume",
        **dict.fromkeys(
            (
                "schedules",
                "scheduled_time",
                "cycle_type",
                "cycle_value",
                "quantity",
                "start_date",
                "end_date",
            ),
            "POST /api/v1/medications/{id}/schedules",
        ),
    }

    name = serializers.CharField(max_length=200)
    dosage = serializers.CharField(max_length=100, allow_blank=True, required=False)
    form = serializers.ChoiceField(Medication.Form.choices, required=False)
    strength = serializers.CharField(max_length=50, allow_blank=True, required=False)
    unit = serializers.CharField(max_length=30, allow_blank=True, required=False)
    color_tag = ColorTagField(required=False)
    memo = serializers.CharField(max_length=2000, allow_blank=True, required=False)
    expires_on = CalendarDateField(allow_null=True, required=False)


class MedicationChanges(MedicationInput):
    is_active = serializers.BooleanField(
        required=False,
        help_text="`false` archives the medication: it has no doses until it is brought back by `true`.",
    )
    version = VersionField()


class WrittenMedication(MedicationInput):
    """What users write in a medication, as events record it."""

    is_active = serializers.BooleanField()
    paused_at = serializers.DateTimeField()
    paused_until = serializers.DateTimeField()


class PauseInput(serializers.Serializer[Any]):
    elsewhere = {"paused_until": "until"}

    until = InstantField(
        required=False,
        allow_null=True,
        help_text="When the pause ends by itself, an instant to come. By default it ends with `resume`.",
    )


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
    computed = {"updated_at"}

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
            "paused_until",
            "expires_on",
            "version",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields

    def to_representation(self, instance: Medication) -> dict[str, Any]:
        shown = super().to_representation(instance)
        # A pause is over at its end, not when the task that ends pauses has run.
        if not instance.is_paused(process_now()):
            shown |= {"paused_at": None, "paused_until": None}
        return shown


class MedicationEventOutput(serializers.ModelSerializer[MedicationEvent]):
    recorded_by = serializers.UUIDField(
        source="recorded_by_id", allow_null=True, help_text="The user who made the change; null: the system."
    )
    changes = serializers.DictField(
        child=serializers.ListField(child=serializers.JSONField(allow_null=True), min_length=2, max_length=2),
        help_text="By the name of the field: its value before and after.",
    )

    class Meta:
        model = MedicationEvent
        fields = ["id", "action", "schedule_id", "recorded_at", "recorded_by", "changes"]
        read_only_fields = fields
