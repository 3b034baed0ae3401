"""Patients as the console shows them, what their list shows and sorts by, and invitations to the staff."""

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _

from medtrack.database.ids import uuid7
from users.models import User


class Patient(User):
    """A user as the console shows them; staff are no patients."""

    class Meta:
        proxy = True
        verbose_name = _("patient")
        verbose_name_plural = _("patients")
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("read_notes", _("Read what patients wrote: notes, memos and reasons")),
            ("export_patients", _("Export lists")),
            ("send_test_push", _("Send a test push")),
            ("revoke_device", _("Revoke a device's token")),
            ("end_sessions", _("End a patient's sessions")),
            ("replan", _("Re-plan a patient's doses")),
            ("deactivate", _("Deactivate an account")),
        ]


class PatientSummary(models.Model):
    """What the list of patients shows and sorts by, refreshed every few minutes.

    Adherence is a share from 0 to 1, over the last whole local days; null when nothing was due in them.
    """

    patient = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="summary")
    adherence_7 = models.FloatField(_("adherence, 7 days"), null=True)
    adherence_30 = models.FloatField(_("adherence, 30 days"), null=True)
    # Of the 30 days before those, for the trend.
    adherence_before = models.FloatField(null=True)
    last_answer_at = models.DateTimeField(_("last answer"), null=True)
    device_count = models.PositiveIntegerField(_("devices"), default=0)
    silent_device_count = models.PositiveIntegerField(default=0)
    # Pushes of the last seven days that reached no device.
    failed_push_count = models.PositiveIntegerField(default=0)
    refreshed_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "patient_summaries"
        default_permissions = ()
        indexes = [
            models.Index(fields=["adherence_30", "patient"], name="patient_summaries_by_adherence"),
            models.Index(fields=["last_answer_at", "patient"], name="patient_summaries_by_answer"),
        ]

    def __str__(self) -> str:
        return str(self.patient_id)


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> "InvitationQuerySet":
        """Neither accepted nor withdrawn; their time may be over."""
        return self.filter(accepted_at=None, withdrawn_at=None)

    def acceptable(self, *, now: datetime) -> "InvitationQuerySet":
        return self.open().filter(expires_at__gt=now)

    def with_email(self, email: str) -> "InvitationQuerySet":
        matching: InvitationQuerySet = self.alias(email_lower=Lower("email")).filter(
            email_lower=Lower(models.Value(email))
        )
        return matching


class Invitation(models.Model):
    """An invitation to the staff, by a link that works once. Only the newest one of an address is open.

    A closed invitation has no address; the access log has it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(null=True)
    roles = ArrayField(models.CharField(max_length=150), default=list)
    is_superuser = models.BooleanField(default=False)
    language = models.CharField(max_length=8, choices=settings.LANGUAGES)
    # Without one it was manage.py.
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    objects: ClassVar[InvitationQuerySet] = InvitationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "staff_invitations"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(Lower("email"), name="invitations_are_unique_by_email_while_open"),
            models.CheckConstraint(
                condition=Q(email__isnull=False, accepted_at=None, withdrawn_at=None)
                | Q(email=None, accepted_at__isnull=False, withdrawn_at=None)
                | Q(email=None, accepted_at=None, withdrawn_at__isnull=False),
                name="invitations_are_open_accepted_or_withdrawn",
            ),
            models.CheckConstraint(
                condition=Q(is_superuser=True, roles=[]) | Q(is_superuser=False) & ~Q(roles=[]),
                name="invitations_are_to_roles_or_to_be_superuser",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="invitations_expire_after_they_begin"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
