from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypedDict, cast

from django.db import models
from django.db.models import Count, Exists, F, FilteredRelation, Max, OuterRef, Q, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Greatest
from django_stubs_ext import WithAnnotations

from dosing.planning import ANSWER_WINDOW
from medtrack.database.ids import first_id
from notifications.explanations import Reason
from users.models import User

if TYPE_CHECKING:
    from notifications.models import DeviceToken, NotificationLog


# A reminder counts as late if FCM accepted it longer than this after its time.
LATE_AFTER = timedelta(seconds=60)
HOUR = timedelta(hours=1)
# From the creation of a reminder to its `send_at`: quiet hours may hold it until the answer window of its
# dose ends.
LONGEST_WAIT = ANSWER_WINDOW + HOUR


class FinalStatus(StrEnum):
    """The result of a reminder in reports. Reminders that were not needed have none."""

    SENT = "sent"
    LATE = "late"
    # It expired before it was tried.
    FAILED = "failed"
    # It was tried, and FCM accepted it for no device.
    DEAD = "dead"


_IN_VAIN = {Reason.EXPIRED, Reason.NO_DEVICE, Reason.DEVICE_IN_DOUBT, Reason.OUTRAN_ITS_LEASE}
NEEDLESS = sorted(set(Reason) - _IN_VAIN)

FINAL_STATUSES = {
    FinalStatus.SENT: Q(sent_at__lte=F("send_at") + LATE_AFTER),
    FinalStatus.LATE: Q(sent_at__gt=F("send_at") + LATE_AFTER),
    FinalStatus.FAILED: Q(status="moot", reason="expired"),
    # Without those that were tried and then not needed any more: FCM did not refuse them for every device.
    FinalStatus.DEAD: Q(status="dead") & ~Q(reason__in=NEEDLESS),
}
# The user had no device. This says something about the user and not about the engine, so it is counted apart.
NO_DEVICE = Q(status="moot", reason="no_device")


class Reached(TypedDict):
    reached_at: datetime


class DeviceTokenQuerySet(models.QuerySet["DeviceToken"]):
    def visible_to(self, user: User) -> "DeviceTokenQuerySet":
        return self.filter(user=user)

    def suspect(self) -> "DeviceTokenQuerySet":
        return self.filter(suspect_since__isnull=False, revoked_at=None)

    def reachable(self) -> "DeviceTokenQuerySet":
        """Those that pushes go to, as the view says."""
        return self.filter(id__in=RawSQL("SELECT id FROM reachable_devices", []))

    def with_reached_at(self, *, since: datetime) -> "models.QuerySet[WithAnnotations[DeviceToken, Reached]]":
        """With `reached_at`: the last registration, accepted push or acknowledgement of each device.

        Deliveries from before `since` are not read.
        """
        lately = FilteredRelation(
            "deliveries", condition=Q(deliveries__id__gte=first_id(since), deliveries__outcome="accepted")
        )
        signs = Greatest(*(f"lately__{sign}_at" for sign in ("answered", "arrived", "shown", "opened")))
        last = Max(signs, filter=Q(lately__answered_at__gte=F("owned_since")))
        reached = self.annotate(lately=lately).annotate(reached_at=Greatest("last_seen_at", last))
        return cast("models.QuerySet[WithAnnotations[DeviceToken, Reached]]", reached)

    def silent(self) -> "DeviceTokenQuerySet":
        return self.filter(silent_since__isnull=False, revoked_at=None)


class NotificationLogQuerySet(models.QuerySet["NotificationLog"]):
    def shown_to(self, user: User) -> "NotificationLogQuerySet":
        """Reminders that FCM accepted for this user. Withdrawals are not visible to a user."""
        return self.filter(user=user, sent_at__isnull=False).exclude(kind="withdraw")

    def of_push(self, tag: Any, kind: Any, step: Any) -> "NotificationLogQuerySet":
        """The rows of one push. Each argument is a value or an expression of an outer query."""
        return self.filter(tag=tag, kind=kind, step=step)

    def one_per_push(self) -> "NotificationLogQuerySet":
        """One row of each accepted push: the one whose id is in the push's data."""
        accepted: NotificationLogQuerySet = self.model._default_manager.filter(sent_at__isnull=False)
        mates = accepted.of_push(OuterRef("tag"), OuterRef("kind"), OuterRef("step"))
        expires_at = OuterRef("expires_at")
        before = Q(expires_at__lt=expires_at) | Q(expires_at=expires_at, id__lt=OuterRef("id"))
        return self.filter(~Exists(mates.filter(before)))

    def about_doses(self) -> "NotificationLogQuerySet":
        """Reminders of doses, without tests and withdrawals."""
        return self.exclude(kind__in=["test", "withdraw"])

    def due_between(self, since: datetime, until: datetime) -> "NotificationLogQuerySet":
        """Those whose time is in [since, until), found by their ids: these are in order of creation."""
        return self.filter(id__gte=first_id(since - LONGEST_WAIT), send_at__gte=since, send_at__lt=until)

    def final_statuses_by_hour(self, since: datetime) -> "models.QuerySet[NotificationLog, dict[str, Any]]":
        """A row for each hour with reminders: its start, the counts by final status, and `no_device`."""
        hour = models.Func(
            Value(HOUR), F("send_at"), Value(since), function="date_bin", output_field=models.DateTimeField()
        )
        counts = {status.value: Count("id", filter=condition) for status, condition in FINAL_STATUSES.items()}
        counts["no_device"] = Count("id", filter=NO_DEVICE)
        rows = self.annotate(hour=hour).values("hour").annotate(**counts).order_by("hour")
        return cast("models.QuerySet[NotificationLog, dict[str, Any]]", rows)
