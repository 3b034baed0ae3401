"""Writes to devices, and what devices say of their pushes. Sending is the queue's and the dispatcher's.

Instants are of PostgreSQL's clock, by which the engine judges them.
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
from dosing.actions.doses import refuse_future
from medtrack.database.ids import uuid7
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
    """The device was removed, FCM does not know it any more, or nobody is signed in on it."""

    default_detail = _("Nothing is sent to this device any more. Sign in on it again.")


class NotSentYet(Conflict):
    """The phone was faster than our record of FCM's answer."""

    default_detail = _("This push is just being sent. Say it again in a few seconds.")


class TooManyTests(TooMany):
    """Five test pushes to this device within the hour, or thirty to all of the person's: `Retry-After` says when the
    next is allowed."""

    default_detail = _("There were enough test pushes for now. Try again later.")


class PushState(StrEnum):
    """How far a push came on the phone; each implies those before it."""

    ARRIVED = "arrived"
    SHOWN = "shown"
    OPENED = "opened"


@dataclass(frozen=True)
class Acknowledgement:
    """What a phone has said of a push so far."""

    notification_id: UUID
    arrived_at: datetime | None
    shown_at: datetime | None
    opened_at: datetime | None


class QuietHours(TypedDict):
    """Wall clock times in the person's zone."""

    start_time: time
    end_time: time


def register_device(
    *, by: User, session: Session, token: str, now: datetime, **fields: Any
) -> tuple[DeviceToken, bool]:
    """The device with this token, now this person's and alive, and whether it is new.

    A token moves with the phone: whoever signs in on it owns it, and the former owner's reminders stop. For one device
    too many another one is revoked. Raises LimitReached when all were reached lately.
    """
    mine = {
        "user": by,
        "session": session,
        "last_seen_at": now,
        "suspect_since": None,
        "silent_since": None,
        "revoked_at": None,
        "revoke_reason": "",
        **fields,
    }
    with transaction.atomic():
        lock_user(by.id)
        # Whoever registers the phone at the same moment waits, and then sees whose it has become.
        device, created = DeviceToken.objects.select_for_update(no_key=True).get_or_create(
            token=token, defaults=mine | {"owned_since": now}
        )
        is_one_more = created or device.user_id != by.id or device.revoked_at is not None
        if not created:
            if device.user_id != by.id:
                mine["owned_since"] = now
            for name, value in mine.items():
                setattr(device, name, value)
            device.save(update_fields=mine)
        if is_one_more:
            _retire_others(device, now)
    return device, created


def _retire_others(new: DeviceToken, now: datetime) -> None:
    """Revokes the longest unseen devices that are too many beside the new one. Raises LimitReached."""
    others = DeviceToken.objects.filter(user=new.user_id, revoked_at=None).exclude(id=new.id)
    excess = others.count() + 1 - settings.LIMITS.devices
    if excess <= 0:
        return
    lately = now - REACHED_WITHIN
    reachable = others.reachable().with_reached_at(since=lately)
    # Those that nobody is signed in on first: nothing is lost with them.
    ids = [
        *_longest_unseen(others.exclude(id__in=others.reachable().values("id"))),
        *_longest_unseen(reachable.filter(reached_at__lt=lately)),
    ]
    if len(ids) < excess:
        raise LimitReached("devices")
    # Not one that has just become somebody else's.
    too_many = DeviceToken.objects.filter(id__in=ids[:excess], user=new.user_id, revoked_at=None)
    too_many.update(revoked_at=now, revoke_reason="too_many_devices")


def _longest_unseen(devices: QuerySet[Any]) -> list[UUID]:
    return list(devices.order_by("last_seen_at", "id").values_list("id", flat=True))


def revoke_device(*, device: DeviceToken, reason: str, now: datetime) -> bool:
    """Nothing is pushed to this install any more, until it registers again; returns False when that was so already.

    Also when the phone has become somebody else's meanwhile: they were not asked about.
    """
    living = DeviceToken.objects.filter(id=device.id, user_id=device.user_id, revoked_at=None)
    return bool(living.update(revoked_at=now, revoke_reason=reason))


@transaction.atomic
def send_test_push(*, device: DeviceToken, now: datetime) -> NotificationLog:
    """A push to this device alone, on its way with the next claim. Raises DeviceRevoked and TooManyTests."""
    # Tests of one person take turns, so that none is counted out of the limits.
    person = lock_user(device.user_id)
    locked = DeviceToken.objects.select_for_update(of=("self",), no_key=True).select_related("session")
    device = get_object_or_404(locked, id=device.id, user_id=person.id)
    if not device.is_reachable:
        raise DeviceRevoked
    recent = NotificationLog.objects.filter(
        user_id=device.user_id, device=device, kind=NotificationLog.Kind.TEST, send_at__gt=now - TESTS_WITHIN
    )
    sent_at = list(recent.order_by("send_at").values_list("send_at", flat=True))
    if len(sent_at) >= MAX_TESTS:
        raise TooManyTests(sent_at[-MAX_TESTS] + TESTS_WITHIN - now)
    if (wait := wait_for_test_push(person)) is not None:
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
    """Records that the push arrived, was shown or was opened on the session's phone; the first word counts.

    A push stands for all reminders with its tag, kind and step. Raises ValidationError, NotSentYet and Http404.
    """
    refuse_future("occurred_at", occurred_at or now, now=now)
    named = get_object_or_404(NotificationLog, id=notification_id, user=by)
    deliveries = _deliveries_of_push(named, session)
    # A phone's clock may be wrong, but nothing arrives before it is sent.
    at = Greatest("claimed_at", Value(min(occurred_at or now, now)))
    implied = list(PushState)[: list(PushState).index(state) + 1]
    if not deliveries.update(**{f"{name}_at": Coalesce(F(f"{name}_at"), at) for name in implied}):
        raise NotSentYet if _is_on_its_way(named, session) else Http404
    silent = DeviceToken.objects.filter(silent_since__isnull=False)
    silent.filter(id__in=deliveries.values("device_id")).update(silent_since=None)
    said = deliveries.aggregate(**{f"{name}_at": Min(f"{name}_at") for name in PushState})
    return Acknowledgement(named.id, **said)


@transaction.atomic
def read_notification(*, notification_id: UUID, by: User, now: datetime) -> NotificationLog:
    """The push with this id, read by now in all its rows; the first time counts. Raises Http404."""
    shown = NotificationLog.objects.shown_to(by)
    named = get_object_or_404(shown, id=notification_id)
    push = shown.of_push(named.tag, named.kind, named.step)
    # In the order in which the queue marks the rows of a push.
    rows = push.filter(read_at=None).order_by("expires_at", "id").select_for_update(no_key=True)
    _read(rows, now)
    return get_object_or_404(push.one_per_push())


@transaction.atomic
def read_all_notifications(*, by: User, now: datetime, until: datetime | None = None) -> None:
    """All pushes that were sent until this instant, or until now, are read.

    What is just being marked as sent to another phone is left out: two pushes could wait for each other.
    """
    unread = NotificationLog.objects.shown_to(by).filter(read_at=None, sent_at__lte=until or now)
    _read(unread.select_for_update(no_key=True, skip_locked=True), now)


def replace_settings(
    *, user: User, quiet_hours: QuietHours | None, now: datetime, **preferences: Any
) -> User:
    """The person with these reminder preferences instead of the former ones."""
    quiet = {
        "quiet_hours_start_time": quiet_hours and quiet_hours["start_time"],
        "quiet_hours_end_time": quiet_hours and quiet_hours["end_time"],
    }
    return update_profile(by=user, changes=preferences | quiet, now=now).object


def _read(locked: QuerySet[NotificationLog], now: datetime) -> None:
    ids = list(locked.values_list("id", flat=True))
    NotificationLog.objects.filter(id__in=ids).update(read_at=now)


def _deliveries_of_push(named: NotificationLog, session: Session) -> QuerySet[PushDelivery]:
    push = NotificationLog.objects.filter(
        tag=named.tag, kind=named.kind, step=named.step, user_id=named.user_id
    )
    mine = DeviceToken.objects.filter(session=session, user_id=named.user_id)
    return PushDelivery.objects.filter(notification__in=push, device__in=mine)


def _is_on_its_way(named: NotificationLog, session: Session) -> bool:
    """A phone can be faster than the mark that records FCM's answer."""
    return (
        named.status == NotificationLog.Status.QUEUED
        and named.attempts > 0
        and DeviceToken.objects.filter(session=session, user_id=named.user_id, revoked_at=None).exists()
    )
