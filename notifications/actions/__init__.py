"""Writes to devices and reminders outside of the queue: registering, test pushes, acknowledgements, reading.

An action takes ids, the user it acts for (`by`) and the time (`now`), which is PostgreSQL's, as for the
engine.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any, TypedDict
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Min, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext_lazy as _

from dosing.actions.accounts import update_profile
from dosing.actions.checks import refuse_future
from medtrack.database.ids import uuid7
from medtrack.database.results import ActionResult
from medtrack.http.person_limits import REACHED_WITHIN, LimitReached
from medtrack.http.problems import Conflict, TooMany
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from users.actions import lock_user
from users.models import Session, User
from users.rates import wait_for_test_push

TEST_LIFETIME = timedelta(minutes=5)
MAX_TESTS = 5
TESTS_WITHIN = timedelta(hours=1)


class DeviceRevoked(Conflict):
    """The device was removed, FCM no longer knows its token, or its session has ended."""

    default_detail = _("Nothing is sent to this device any more. Sign in on it again.")


class NotSentYet(Conflict):
    """The device has the push already, while FCM's answer is not recorded yet."""

    default_detail = _("This push is just being sent. Retry in a few seconds.")


class TooManyTests(TooMany):
    """There were five test pushes to this device within the hour, or thirty to all of the user's devices.

    `Retry-After` says when the next is allowed.
    """

    default_detail = _("There were enough test pushes for now. Try again later.")


class PushState(StrEnum):
    """How far a push came on the device. Each state implies the ones before it."""

    ARRIVED = "arrived"
    SHOWN = "shown"
    OPENED = "opened"


@dataclass(frozen=True)
class Acknowledgement:
    """When a device first acknowledged each state of a push."""

    notification_id: UUID
    arrived_at: datetime | None
    shown_at: datetime | None
    opened_at: datetime | None


class QuietHours(TypedDict):
    """Wall clock times in the user's zone."""

    start_time: time
    end_time: time


@transaction.atomic
def register_device(
    *, by: User, session: Session, token: str, now: datetime, **fields: Any
) -> ActionResult[DeviceToken]:
    """Returns the device with this token, which now belongs to `by` and this session; `changed` says that it
    is new.

    A token belongs to the user who registered it last, and the former owner's reminders stop. If the user has
    too many devices, others are revoked. Raises LimitReached if all of them were reached lately.
    """
    values = {
        "user": by,
        "session": session,
        "last_seen_at": now,
        "suspect_since": None,
        "silent_since": None,
        "revoked_at": None,
        "revoke_reason": "",
        **fields,
    }
    lock_user(by.id)
    # Another user who registers the token at the same time waits here, and then sees the new owner.
    device, is_new = DeviceToken.objects.select_for_update(no_key=True).get_or_create(
        token=token, defaults=values | {"owned_since": now}
    )
    is_one_more = is_new or device.user_id != by.id or device.revoked_at is not None
    if not is_new:
        if device.user_id != by.id:
            values["owned_since"] = now
        for name, value in values.items():
            setattr(device, name, value)
        device.save(update_fields=values)
    if is_one_more:
        _revoke_excess(device, now)
    return ActionResult(device, changed=is_new)


def _revoke_excess(new: DeviceToken, now: datetime) -> None:
    others = DeviceToken.objects.filter(user=new.user_id, revoked_at=None).exclude(id=new.id)
    excess = others.count() + 1 - settings.LIMITS.devices
    if excess <= 0:
        return
    lately = now - REACHED_WITHIN
    reachable = others.reachable().with_reached_at(since=lately)
    # The longest unseen are revoked. First those that pushes do not reach: revoking them changes nothing.
    ids = [
        *_longest_unseen(others.exclude(id__in=others.reachable().values("id"))),
        *_longest_unseen(reachable.filter(reached_at__lt=lately)),
    ]
    if len(ids) < excess:
        raise LimitReached("devices")
    # Filtered by user again: one of them may have been registered by another user meanwhile.
    too_many = DeviceToken.objects.filter(id__in=ids[:excess], user=new.user_id, revoked_at=None)
    too_many.update(revoked_at=now, revoke_reason="too_many_devices")


def _longest_unseen(devices: QuerySet[Any]) -> list[UUID]:
    return list(devices.order_by("last_seen_at", "id").values_list("id", flat=True))


@transaction.atomic
def revoke_device(*, device_id: UUID, by: User, reason: str, now: datetime) -> ActionResult[DeviceToken]:
    """Stops pushes to this device of the user until it registers again. Raises Http404."""
    device = get_object_or_404(DeviceToken, id=device_id, user=by)
    # Filtered by user again: another user may have registered the device meanwhile, and keeps it.
    revocable = DeviceToken.objects.filter(id=device_id, user=by, revoked_at=None)
    changed = revocable.update(revoked_at=now, revoke_reason=reason)
    return ActionResult(device, changed=bool(changed))


@transaction.atomic
def send_test_push(*, device_id: UUID, by: User, now: datetime) -> NotificationLog:
    """Queues a push to this device alone for the next claim.

    Raises Http404, DeviceRevoked and TooManyTests.
    """
    # The lock makes test pushes of one user wait for each other, so that each counts towards the limits.
    user = lock_user(by.id)
    locked = DeviceToken.objects.select_for_update(of=("self",), no_key=True).select_related("session")
    device = get_object_or_404(locked, id=device_id, user_id=user.id)
    if not device.is_reachable:
        raise DeviceRevoked
    recent = NotificationLog.objects.filter(
        user_id=device.user_id, device=device, kind=NotificationLog.Kind.TEST, send_at__gt=now - TESTS_WITHIN
    )
    sent_at = list(recent.order_by("send_at").values_list("send_at", flat=True))
    if len(sent_at) >= MAX_TESTS:
        raise TooManyTests(sent_at[-MAX_TESTS] + TESTS_WITHIN - now)
    if (wait := wait_for_test_push(user)) is not None:
        raise TooManyTests(wait)
    id = uuid7()
    return NotificationLog.objects.create(
        id=id,
        user_id=device.user_id,
        device=device,
        kind=NotificationLog.Kind.TEST,
        tag=id,
        send_at=now,
        expires_at=now + TEST_LIFETIME,
    )


@transaction.atomic
def acknowledge(
    *,
    notification_id: UUID,
    state: PushState,
    by: User,
    session: Session,
    now: datetime,
    occurred_at: datetime | None = None,
) -> Acknowledgement:
    """Records that a push arrived, was shown or was opened on the session's device, if that is not recorded
    yet.

    A push stands for all reminders with its tag, kind and step. Raises ValidationError, NotSentYet and
    Http404.
    """
    refuse_future("occurred_at", occurred_at or now, now=now)
    named = get_object_or_404(NotificationLog, id=notification_id, user=by)
    push = NotificationLog.objects.filter(user_id=by.id).of_push(named.tag, named.kind, named.step)
    devices = DeviceToken.objects.filter(session=session, user_id=by.id)
    deliveries = PushDelivery.objects.filter(notification__in=push, device__in=devices)
    # The device's clock may be wrong, but nothing arrives before it is sent.
    at = Greatest("claimed_at", Value(min(occurred_at or now, now)))
    implied = list(PushState)[: list(PushState).index(state) + 1]
    if not deliveries.update(**{f"{name}_at": Coalesce(F(f"{name}_at"), at) for name in implied}):
        # The device can be faster than the mark that records FCM's answer.
        is_being_sent = (
            named.status == NotificationLog.Status.QUEUED
            and named.attempts > 0
            and devices.filter(revoked_at=None).exists()
        )
        raise NotSentYet if is_being_sent else Http404
    silent = DeviceToken.objects.filter(silent_since__isnull=False)
    silent.filter(id__in=deliveries.values("device_id")).update(silent_since=None)
    times = deliveries.aggregate(**{f"{name}_at": Min(f"{name}_at") for name in PushState})
    return Acknowledgement(named.id, **times)


@transaction.atomic
def read_notification(*, notification_id: UUID, by: User, now: datetime) -> NotificationLog:
    """Marks all rows of the push as read that are not yet, and returns the row that stands for it.

    Raises Http404.
    """
    shown = NotificationLog.objects.shown_to(by)
    named = get_object_or_404(shown, id=notification_id)
    push = shown.of_push(named.tag, named.kind, named.step)
    # Locked in the order in which the queue marks the rows of a push, to avoid a deadlock.
    rows = push.filter(read_at=None).order_by("expires_at", "id").select_for_update(no_key=True)
    _read(rows, now)
    return get_object_or_404(push.one_per_push())


@transaction.atomic
def read_all_notifications(*, by: User, now: datetime, until: datetime | None = None) -> None:
    """Marks all pushes as read that were sent until `until`, or until now."""
    # Rows that the queue is just marking are skipped: waiting for the rows of two pushes could be a deadlock.
    unread = NotificationLog.objects.shown_to(by).filter(read_at=None, sent_at__lte=until or now)
    _read(unread.select_for_update(no_key=True, skip_locked=True), now)


def replace_settings(*, by: User, quiet_hours: QuietHours | None, now: datetime, **preferences: Any) -> User:
    """Replaces the user's reminder preferences."""
    quiet = {
        "quiet_hours_start_time": quiet_hours and quiet_hours["start_time"],
        "quiet_hours_end_time": quiet_hours and quiet_hours["end_time"],
    }
    return update_profile(by=by, changes=preferences | quiet, now=now).object


def _read(locked: QuerySet[NotificationLog], now: datetime) -> None:
    ids = list(locked.values_list("id", flat=True))
    NotificationLog.objects.filter(id__in=ids).update(read_at=now)
