from typing import TYPE_CHECKING

from django.db import models

from users.models import User

if TYPE_CHECKING:
    from notifications.models import DeviceToken  # noqa: F401


class DeviceTokenQuerySet(models.QuerySet["DeviceToken"]):
    def visible_to(self, user: User) -> "DeviceTokenQuerySet":
        return self.filter(user=user)
