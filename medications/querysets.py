from typing import TYPE_CHECKING

from django.db import models

from users.models import User

if TYPE_CHECKING:
    from medications.models import Medication  # noqa: F401


class MedicationQuerySet(models.QuerySet["Medication"]):
    def visible_to(self, user: User) -> "MedicationQuerySet":
        return self.filter(user=user, deleted_at=None)
