from datetime import date
from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Coalesce

from dosing.status import DoseStatus
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
        """One local day, in the order in which it is lived; an intake that was taken back is not part of it."""
        lived = self.filter(log_date=log_date).exclude(schedule=None, status=DoseStatus.PENDING)
        return lived.order_by(Coalesce("due_at", "taken_at"), "id")
