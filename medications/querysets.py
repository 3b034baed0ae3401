from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from users.models import User

if TYPE_CHECKING:
    from medications.models import Medication  # noqa: F401


class MedicationQuerySet(models.QuerySet["Medication"]):
    def visible_to(self, user: User) -> "MedicationQuerySet":
        return self.filter(user=user, deleted_at=None)

    def with_state(
        self, *, now: datetime, is_active: bool | None = None, is_paused: bool | None = None
    ) -> "MedicationQuerySet":
        """Filters by the arguments that are not None."""
        medications = self if is_active is None else self.filter(is_active=is_active)
        if is_paused is None:
            return medications
        paused = Q(paused_at__isnull=False) & (Q(paused_until=None) | Q(paused_until__gt=now))
        return medications.filter(paused if is_paused else ~paused)

    def with_pauses_over(self, now: datetime) -> "MedicationQuerySet":
        """Those whose pause has an end that has come, and was not ended yet."""
        return self.filter(paused_until__lte=now, deleted_at=None)
