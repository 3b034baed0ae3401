"""Claims reminders from the queue and answers them."""

from datetime import datetime, timedelta

from django.utils import timezone

from medtrack.tests.support.builders import device_of
from notifications import queue
from notifications.models import NotificationLog
from notifications.queue import Claim, Push, PushResult, Turn
from notifications.transports.results import FcmResult, FcmResultKind
from users.models import User

LEASE = timedelta(seconds=40)
MINUTE = timedelta(minutes=1)
ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")
BUSY = FcmResult(FcmResultKind.RETRY, "UNAVAILABLE", pause=timedelta(seconds=10))
GONE = FcmResult(FcmResultKind.REVOKE, "UNREGISTERED")


def claim(limit: int = 100, turn: Turn = Turn.DOSES) -> Claim:
    return queue.claim(limit=limit, lease=LEASE, turn=turn)


def answer(claimed: Claim, outcome: FcmResult, *, retry_after: timedelta | None = None) -> queue.Marked:
    results = [PushResult(push, dict.fromkeys(push.devices, outcome), retry_after) for push in claimed.pushes]
    return queue.mark(results)


def answer_first_of_two(user: User, *, retry_after: timedelta) -> Push:
    """Sends to two phones: FCM accepts the push to the first and is busy for the second. Returns the push."""
    device_of(user, "second-phone")
    queue.enqueue()
    (push,) = claim().pushes
    first, second = push.devices
    queue.mark([PushResult(push, {first: ACCEPTED, second: BUSY}, retry_after)])
    return push


def moment_ago(seconds: float = 1) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def reminder() -> NotificationLog:
    return NotificationLog.objects.get()
