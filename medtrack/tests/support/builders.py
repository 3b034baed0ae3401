"""Users, medications, devices and doses for tests, created by the actions of the apps."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.utils import timezone

from dosing.actions.schedules import create_schedule
from dosing.models import DoseLog, Schedule
from medications.actions import create_medication
from medications.models import Medication
from notifications import queue
from notifications.actions import register_device, revoke_device, send_test_push
from notifications.models import DeviceToken, NotificationLog
from users.actions import Credentials, sign_up
from users.models import Session, User

PASSWORD = "correct horse battery"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def person(name: str, **profile: Any) -> Credentials:
    values = {"timezone": "UTC", "language": "en", **profile}
    return sign_up(
        email=f"{name.lower()}@example.com", password=PASSWORD, name=name, now=timezone.now(), **values
    )


def confirmed(user: User) -> User:
    """Marks the e-mail address as verified."""
    User.objects.filter(pk=user.pk).update(email_verified_at=timezone.now())
    user.refresh_from_db()
    return user


def session_of(user: User) -> Session:
    return Session.objects.filter(user=user).latest("id")


def medication_of(user: User, name: str = "Metformin", **fields: Any) -> Medication:
    fields.setdefault("now", timezone.now())
    return create_medication(by=user, name=name, **fields).object


def schedule_at(medication: Medication, at: time, *, now: datetime, **fields: Any) -> Schedule:
    fields.setdefault("start_date", now.astimezone(medication.user.zone).date())
    return create_schedule(
        medication_id=medication.id, by=medication.user, scheduled_time=at, now=now, **fields
    ).object


def device_of(user: User, token: str = "", **fields: Any) -> DeviceToken:
    values = {"platform": "android", "now": timezone.now(), **fields}
    return register_device(
        by=user, session=session_of(user), token=token or f"token-of-{user.name}", **values
    ).object


def push_a_test(device: DeviceToken, *, now: datetime) -> NotificationLog:
    return send_test_push(device_id=device.id, by=device.user, now=now)


def revoked(device: DeviceToken, *, now: datetime) -> bool:
    """Whether this revoked the device for its owner."""
    return revoke_device(device_id=device.id, by=device.user, reason="removed_by_owner", now=now).changed


def dose_due(user: User, due_at: datetime, *, medicine: str = "Metformin", **fields: Any) -> DoseLog:
    """Creates a schedule with a single dose, which is due at this instant, and returns the dose."""
    wall = due_at.astimezone(user.zone)
    medication = Medication.objects.filter(user=user, name=medicine).first() or medication_of(user, medicine)
    today = {"start_date": wall.date(), "end_date": wall.date()}
    schedule = schedule_at(medication, wall.time(), now=due_at - timedelta(seconds=1), **today, **fields)
    return DoseLog.objects.get(schedule=schedule)


def claim_all(lease: timedelta = timedelta(seconds=25)) -> queue.Claim:
    """Claims all reminders that can be claimed, in the order of a dispatcher's turns."""
    claims = [queue.claim(limit=100, lease=lease, turn=turn) for turn in queue.Turn]
    return queue.Claim(sum(c.examined for c in claims), [push for c in claims for push in c.pushes])
