from datetime import date
from typing import TYPE_CHECKING

from django.db import models

from users.models import User

if TYPE_CHECKING:
    from dosing.models import DoseLog, Schedule  # noqa: F401


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def visible_to(self, user: User) -> "ScheduleQuerySet":
        return self.filter(medication__user=user, medication__deleted_at=None, deleted_at=None)


class DoseLogQuerySet(models.QuerySet["DoseLog"]):
    def visible_to(self, user: User) -> "DoseLogQuerySet":
        return self.filter(user=user).select_related("medication")

    def on(self, log_date: date) -> "DoseLogQuerySet":
        """One local day, in the order in which it is lived."""
        return self.filter(log_date=log_date).order_by("due_at", "id")
