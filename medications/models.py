"""Medications. Schedules and doses, which refer to them, are in `dosing`."""

from datetime import datetime
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from medications.querysets import MedicationQuerySet
from medtrack.database.ids import uuid7
from users.models import User

# What an answered dose shows as it was when it was answered.
DESCRIPTION_FIELDS = ("name", "dosage", "form", "strength", "unit")
COLOR_TAG_PATTERN = r"^#[0-9A-Fa-f]{6}$"


class Medication(models.Model):
    class Form(models.TextChoices):
        TABLET = "tablet", _("tablet")
        CAPSULE = "capsule", _("capsule")
        LIQUID = "liquid", _("liquid")
        POWDER = "powder", _("powder")
        DROPS = "drops", _("drops")
        SPRAY = "spray", _("spray")
        INHALER = "inhaler", _("inhaler")
        INJECTION = "injection", _("injection")
        PATCH = "patch", _("patch")
        CREAM = "cream", _("cream")
        SUPPOSITORY = "suppository", _("suppository")
        OTHER = "other", _("other")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="medications", verbose_name=_("person"))
    name = models.CharField(_("name"), max_length=200)
    dosage = models.CharField(_("dosage"), max_length=100, blank=True)
    form = models.CharField(_("form"), max_length=16, choices=Form, default=Form.TABLET)
    strength = models.CharField(_("strength"), max_length=50, blank=True)
    unit = models.CharField(_("unit"), max_length=30, blank=True)
    color_tag = models.CharField(
        _("color tag"), max_length=7, default="#1D9E75", validators=[RegexValidator(COLOR_TAG_PATTERN)]
    )
    memo = models.TextField(_("memo"), max_length=2000, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True)
    # A pause ends by itself then. Null: when the user resumes the medication.
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True)
    stock_quantity = models.DecimalField(_("stock"), max_digits=12, decimal_places=3, null=True, blank=True)
    low_stock_threshold = models.DecimalField(
        _("low stock from"), max_digits=12, decimal_places=3, null=True, blank=True
    )
    expires_on = models.DateField(_("expires on"), null=True, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1, db_default=1, editable=False)
    # When one of DESCRIPTION_FIELDS last changed: doses answered before show it as it was then.
    described_at = models.DateTimeField(_("described at"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True, editable=False)

    objects: ClassVar[MedicationQuerySet] = MedicationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "medications"
        verbose_name = _("medication")
        verbose_name_plural = _("medications")
        indexes = [
            models.Index(fields=["user"], condition=Q(deleted_at=None), name="medications_of_user"),
            # There are few at a time, and they are looked for every minute.
            models.Index(
                fields=["paused_until"],
                condition=Q(paused_until__isnull=False),
                name="medications_pauses_with_an_end",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="medications_have_a_name"),
            models.CheckConstraint(
                condition=Q(color_tag__regex=COLOR_TAG_PATTERN), name="medications_color_tag_is_hex"
            ),
            models.CheckConstraint(
                condition=Q(stock_quantity=None) | Q(stock_quantity__gte=0),
                name="medications_stock_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(low_stock_threshold=None) | Q(low_stock_threshold__gte=0),
                name="medications_low_stock_threshold_is_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(paused_until=None) | Q(paused_until__gt=F("paused_at")),
                name="medications_pauses_end_after_they_begin",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def is_paused(self, now: datetime) -> bool:
        """Whether it is paused at the instant `now`: a pause is over at its end, before a task has ended it."""
        return self.paused_at is not None and (self.paused_until is None or self.paused_until > now)


class MedicationEvent(models.Model):
    """A change of a medication or one of its schedules: who made it, when, and what it changed.

    Events are immutable: a trigger refuses updates and deletions.
    """

    class Action(models.TextChoices):
        CREATED = "created", _("created")
        CHANGED = "changed", _("changed")
        PAUSED = "paused", _("paused")
        RESUMED = "resumed", _("resumed")
        ARCHIVED = "archived", _("archived")
        RESTORED = "restored", _("restored")
        DELETED = "deleted", _("deleted")
        SCHEDULE_CREATED = "schedule_created", _("schedule created")
        SCHEDULE_CHANGED = "schedule_changed", _("schedule changed")
        SCHEDULE_DELETED = "schedule_deleted", _("schedule deleted")
        TRAVELLED = "travelled", _("time zone changed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    medication = models.ForeignKey(
        Medication, models.CASCADE, related_name="events", verbose_name=_("medication")
    )
    # Not a relation: schedules are in `dosing`, which imports this app.
    schedule_id = models.UUIDField(_("schedule"), null=True, blank=True)
    action = models.CharField(_("action"), max_length=16, choices=Action)
    recorded_at = models.DateTimeField(_("recorded at"), db_default=Now(), editable=False)
    # Null: the system, such as at the end of a pause.
    recorded_by = models.ForeignKey(
        User,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("recorded by"),
    )
    # By the name of the field: its value before and after, as in the API.
    changes = models.JSONField(_("changes"), default=dict, blank=True)
    # All DESCRIPTION_FIELDS as they were before, if the change is about one of them.
    description = models.JSONField(_("description before"), null=True, blank=True)

    class Meta:
        db_table = "medication_events"
        verbose_name = _("change of a medication")
        verbose_name_plural = _("changes of medications")
        indexes = [
            models.Index(fields=["medication", "recorded_at"], name="medication_events_by_time"),
            models.Index(
                fields=["medication", "recorded_at"],
                condition=Q(description__isnull=False),
                name="medication_events_described",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    action__in=[
                        "created",
                        "changed",
                        "paused",
                        "resumed",
                        "archived",
                        "restored",
                        "deleted",
                        "schedule_created",
                        "schedule_changed",
                        "schedule_deleted",
                        "travelled",
                    ]
                ),
                name="medication_events_action_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.recorded_at:%Y-%m-%d %H:%M}Z"
