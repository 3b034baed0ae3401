from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Exists, OuterRef, Q

from users.models import User

if TYPE_CHECKING:
    from notifications.models import DeviceToken, NotificationLog  # noqa: F401


class DeviceTokenQuerySet(models.QuerySet["DeviceToken"]):
    def visible_to(self, user: User) -> "DeviceTokenQuerySet":
        return self.filter(user=user)


class NotificationLogQuerySet(models.QuerySet["NotificationLog"]):
    def shown_to(self, user: User) -> "NotificationLogQuerySet":
        """What FCM accepted for this person to see; withdrawals are silent."""
        return self.filter(user=user, sent_at__isnull=False).exclude(kind="withdraw")

    def of_push(self, tag: Any, kind: Any, step: Any) -> "NotificationLogQuerySet":
        """Its rows; each is a value or a reference to an outer query's."""
        return self.filter(tag=tag, kind=kind, step=step)

    def one_per_push(self) -> "NotificationLogQuerySet":
        """Of each push that was accepted the row whose id its data names."""
        accepted: NotificationLogQuerySet = self.model._default_manager.filter(sent_at__isnull=False)
        mates = accepted.of_push(OuterRef("tag"), OuterRef("kind"), OuterRef("step"))
        expires_at = OuterRef("expires_at")
        before = Q(expires_at__lt=expires_at) | Q(expires_at=expires_at, id__lt=OuterRef("id"))
        return self.filter(~Exists(mates.filter(before)))
