"""Reads the rows that the trace of a dose is made from, by a fixed number of queries, each along a key."""

from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from uuid import UUID

from django.db.models import Q
from django.http import Http404

from dosing.models import DoseEvent, DoseLog
from medications.models import MedicationEvent
from medtrack.database.statements import Statement
from notifications.explanations import Reason
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.trace import History
from users.models import User

WITHDRAW = NotificationLog.Kind.WITHDRAW
_MOOT_REASONS = Statement.of(Path(__file__).parent / "sql" / "moot_reasons.sql")


def history_of(dose_id: UUID, *, now: datetime, visible_to: User | None = None) -> History:
    """Returns the rows about this dose, also of one that a changed schedule removed after it was enqueued.

    `visible_to` limits them to the doses of one user. Raises Http404.
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
    # Doses of one user that are due in the same minute share a push, and so its tag.
    sizes = Counter((reminder.tag, reminder.kind, reminder.step) for reminder in of_pushes)
    deliveries = defaultdict(list)
    for delivery in PushDelivery.objects.filter(notification__in=mine).order_by("id"):
        deliveries[delivery.notification_id].append(delivery)
    return History(
        dose_id=dose_id,
        dose=dose,
        user=user,
        events=list(DoseEvent.objects.filter(dose_id=dose_id).order_by("recorded_at", "id")),
        changes=[] if dose is None else changes_of(dose),
        reminders=mine,
        companions={reminder.id: sizes[reminder.tag, reminder.kind, reminder.step] - 1 for reminder in mine},
        deliveries=dict(deliveries),
        moot_reasons={
            notification_id: Reason(reason)
            for notification_id, reason in _MOOT_REASONS.rows(dose_id=dose_id, now=now)
            if reason
        },
        devices=list(DeviceToken.objects.filter(user=user).select_related("session").order_by("id")),
        now=now,
    )


def changes_of(dose: DoseLog) -> list[MedicationEvent]:
    """The changes of the dose's medication and schedule since it was planned, oldest first."""
    changes = MedicationEvent.objects.filter(
        Q(schedule_id=None) | Q(schedule_id=dose.schedule_id),
        medication_id=dose.medication_id,
        recorded_at__gte=dose.created_at,
    )
    return list(changes.select_related("recorded_by").order_by("recorded_at", "id"))
