"""Reading what a trace is told from: a fixed number of queries, each along a key."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db import connection
from django.http import Http404

from dosing.models import DoseEvent, DoseLog
from notifications.explanations import Reason
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.trace import History
from users.models import User

WITHDRAW = NotificationLog.Kind.WITHDRAW
_MOOT_REASONS = (Path(__file__).parent / "sql" / "moot_reasons.sql").read_text()


def history_of(dose_id: UUID, *, now: datetime, visible_to: User | None = None) -> History:
    """The rows about this dose, also of one that a changed schedule took away after it was enqueued.

    Without `visible_to` anybody's. Raises Http404.
    """
    doses, reminders = DoseLog.objects.all(), NotificationLog.objects.select_related("user")
    if visible_to is not None:
        doses, reminders = doses.visible_to(visible_to), reminders.filter(user=visible_to)
    dose = doses.filter(id=dose_id).select_related("user", "medication", "schedule").first()
    tags = NotificationLog.objects.filter(dose_id=dose_id).values("tag")
    of_pushes = list(reminders.filter(tag__in=tags).order_by("id"))
    if dose is None and not of_pushes:
        raise Http404
    user = of_pushes[0].user if dose is None else dose.user
    mine = [reminder for reminder in of_pushes if reminder.dose_id == dose_id or reminder.kind == WITHDRAW]
    return History(
        dose_id=dose_id,
        dose=dose,
        user=user,
        events=list(DoseEvent.objects.filter(dose_id=dose_id).order_by("recorded_at", "id")),
        reminders=mine,
        companions=_companions(mine, of_pushes),
        deliveries=_deliveries(mine),
        moot_reasons=_moot_reasons(dose_id, now),
        devices=list(DeviceToken.objects.filter(user=user).select_related("session").order_by("id")),
        now=now,
    )


def _companions(mine: Sequence[NotificationLog], of_pushes: Sequence[NotificationLog]) -> dict[UUID, int]:
    size = Counter((reminder.tag, reminder.kind, reminder.step) for reminder in of_pushes)
    return {reminder.id: size[reminder.tag, reminder.kind, reminder.step] - 1 for reminder in mine}


def _moot_reasons(dose_id: UUID, now: datetime) -> dict[UUID | None, Reason]:
    with connection.cursor() as cursor:
        cursor.execute(_MOOT_REASONS, {"dose_id": dose_id, "now": now})
        return {notification_id: Reason(reason) for notification_id, reason in cursor.fetchall() if reason}


def _deliveries(reminders: Sequence[NotificationLog]) -> dict[UUID, list[PushDelivery]]:
    found = defaultdict(list)
    ids = [reminder.id for reminder in reminders]
    for delivery in PushDelivery.objects.filter(notification_id__in=ids).order_by("id"):
        found[delivery.notification_id].append(delivery)
    return dict(found)
