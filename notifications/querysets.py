from typing import TYPE_CHECKING

from django.db import models

from users.models import User

if TYPE_CHECKING:
    from notifications.models import DeviceToken  # noqa: F401


class DeviceTokenQuerySet(models.QuerySet["DeviceToken"]):
    def visible_to(self, user: User) -> "DeviceTokenQuerySet":
        return self.filter(user=user)

    def pushable(self) -> "DeviceTokenQuerySet":
        """Not revoked, and not signed out on the device."""
        return self.filter(revoked_at=None).filter(
            models.Q(session=None) | models.Q(session__revoked_at=None)
        )
