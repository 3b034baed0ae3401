"""The statuses of a dose and the one table of transitions between them.

What is not in the table is refused.
"""

from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _


class DoseStatus(models.TextChoices):
    """FHIR and HealthKit name these not interacted, taken, skipped and not logged."""

    PENDING = "pending", _("pending")
    TAKEN = "taken", _("taken")
    SKIPPED = "skipped", _("skipped")
    MISSED = "missed", _("missed")


# What the API calls a dose that is not written yet; no row has this status.
PLANNED = "planned"
SHOWN_STATUSES = [*DoseStatus.values, PLANNED]
UPCOMING_STATUSES = [DoseStatus.PENDING.value, PLANNED]


class Change(StrEnum):
    """A change of a dose. Users make all of them but `miss`, which is the system's."""

    TAKE = "take"
    SKIP = "skip"
    UNDO = "undo"
    SNOOZE = "snooze"
    AMEND = "amend"
    MISS = "miss"


class EventAction(models.TextChoices):
    """The `action` of the event that a user's change leaves."""

    TAKEN = "taken", _("taken")
    SKIPPED = "skipped", _("skipped")
    REOPENED = "reopened", _("reopened")
    SNOOZED = "snoozed", _("snoozed")
    AMENDED = "amended", _("amended")
    # Another statement about a dose that was taken: it changes nothing.
    ALSO_REPORTED = "also_reported", _("also reported")


class RecordedAs(StrEnum):
    """As what a phone's event was recorded, if not as what it says."""

    INTAKE = "intake"
    ALSO_REPORTED = "also_reported"


class NotPlannedReason(StrEnum):
    """Why the plan does not have a dose."""

    NOT_PLANNED = "not_planned"
    SCHEDULE_DELETED = "schedule_deleted"
    MEDICATION_DELETED = "medication_deleted"


class Flag(StrEnum):
    """Why an offline event would have been refused as a request of its own."""

    TOO_EARLY = "too_early"
    TOO_SOON = "too_soon"
    OVER_LIMIT = "over_limit"
    IN_FUTURE = "in_future"
    LONG_AGO = "long_ago"


class Notice(StrEnum):
    """What a person should be asked or told after an offline event."""

    ONE_DOSE_OR_TWO = "one_dose_or_two"
    SKIPPED_BY_OTHER = "skipped_by_other"


EVENT_OF = {
    Change.TAKE: EventAction.TAKEN,
    Change.SKIP: EventAction.SKIPPED,
    Change.UNDO: EventAction.REOPENED,
    Change.SNOOZE: EventAction.SNOOZED,
    Change.AMEND: EventAction.AMENDED,
}

TRANSITIONS: dict[tuple[DoseStatus, Change], DoseStatus] = {
    (DoseStatus.PENDING, Change.TAKE): DoseStatus.TAKEN,
    (DoseStatus.PENDING, Change.SKIP): DoseStatus.SKIPPED,
    (DoseStatus.PENDING, Change.SNOOZE): DoseStatus.PENDING,
    # Of a snooze only.
    (DoseStatus.PENDING, Change.UNDO): DoseStatus.PENDING,
    (DoseStatus.PENDING, Change.MISS): DoseStatus.MISSED,
    (DoseStatus.TAKEN, Change.UNDO): DoseStatus.PENDING,
    (DoseStatus.TAKEN, Change.AMEND): DoseStatus.TAKEN,
    # A dose that was swallowed is a fact; that it was not needs an undo.
    (DoseStatus.SKIPPED, Change.TAKE): DoseStatus.TAKEN,
    (DoseStatus.SKIPPED, Change.UNDO): DoseStatus.PENDING,
    (DoseStatus.SKIPPED, Change.AMEND): DoseStatus.SKIPPED,
    (DoseStatus.MISSED, Change.UNDO): DoseStatus.PENDING,
    (DoseStatus.MISSED, Change.TAKE): DoseStatus.TAKEN,
    (DoseStatus.MISSED, Change.SKIP): DoseStatus.SKIPPED,
}
