"""What can become of a dose: the one transition table. Anything that is not in it is refused."""

from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _


class DoseStatus(models.TextChoices):
    """FHIR and HealthKit know these as not interacted, taken, skipped and not logged."""

    PENDING = "pending", _("pending")
    TAKEN = "taken", _("taken")
    SKIPPED = "skipped", _("skipped")
    MISSED = "missed", _("missed")


class EventAction(models.TextChoices):
    TAKEN = "taken", _("taken")
    SKIPPED = "skipped", _("skipped")
    REOPENED = "reopened", _("reopened")
    SNOOZED = "snoozed", _("snoozed")
    AMENDED = "amended", _("amended")


class Change(StrEnum):
    """An action on a dose: of a user, or for `miss` of the system."""

    TAKE = "take"
    SKIP = "skip"
    UNDO = "undo"
    SNOOZE = "snooze"
    AMEND = "amend"
    MISS = "miss"


TRANSITIONS: dict[tuple[DoseStatus, Change], DoseStatus] = {
    (DoseStatus.PENDING, Change.TAKE): DoseStatus.TAKEN,
    (DoseStatus.PENDING, Change.SKIP): DoseStatus.SKIPPED,
    (DoseStatus.PENDING, Change.SNOOZE): DoseStatus.PENDING,
    (DoseStatus.PENDING, Change.MISS): DoseStatus.MISSED,
    (DoseStatus.TAKEN, Change.UNDO): DoseStatus.PENDING,
    (DoseStatus.TAKEN, Change.AMEND): DoseStatus.TAKEN,
    (DoseStatus.SKIPPED, Change.UNDO): DoseStatus.PENDING,
    (DoseStatus.SKIPPED, Change.AMEND): DoseStatus.SKIPPED,
    (DoseStatus.MISSED, Change.UNDO): DoseStatus.PENDING,
    (DoseStatus.MISSED, Change.TAKE): DoseStatus.TAKEN,
    (DoseStatus.MISSED, Change.SKIP): DoseStatus.SKIPPED,
}
