from typing import TYPE_CHECKING

from django.db import models

from users.models import User

if TYPE_CHECKING:
    from medications.models import Medication  # noqa: F401


class MedicationQuerySet(models.QuerySet["Medication"]):
    def visible_to(self, user: User) -> "MedicationQuerySet":
        return self.filter(user=user, deleted_at=None)

    def with_state(
        self, *, is_active: bool | None = None, is_paused: bool | None = None
    ) -> "MedicationQuerySet":
        """Filters by the arguments that are not None."""
        chosen = {"is_active": is_active, "paused_at__isnull": None if is_paused is None else not is_paused}
        return self.filter(**{name: value for name, value in chosen.items() if value is not None})
