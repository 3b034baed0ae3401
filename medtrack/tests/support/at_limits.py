"""Sign-ins, devices and many requests at once, for the tests of the limits of an account."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

from django.db import connection, transaction
from django.utils import timezone

from medtrack.http.person_limits import REACHED_WITHIN, LimitReached
from medtrack.tests.support.builders import (
    device_of,
    session_of,
)
from medtrack.tests.support.workers import closing
from notifications.actions import TooManyTests
from notifications.models import DeviceToken
from users.actions import lock_user
from users.actions.sessions import open_session
from users.models import Session, User
from users.rates import TooManyEdits

AT_ONCE = 100
HOUR = timedelta(hours=1)
LONG_AGO = REACHED_WITHIN + timedelta(days=1)


def outcomes(job: Callable[[int], object], times: int = AT_ONCE) -> Counter[str]:
    """How often the job succeeded, and with which errors it failed, in so many threads with a connection each."""
    start = Barrier(times)

    def run(number: int) -> str:
        connection.ensure_connection()
        start.wait()
        try:
            job(number)
        except (LimitReached, TooManyEdits, TooManyTests) as error:
            return type(error).__name__
        return "done"

    with ThreadPoolExecutor(times) as pool:
        return Counter(pool.map(closing(run), range(times)))


def sign_in(user: User, name: str = "", **fields: Any) -> Session:
    with transaction.atomic():
        now = fields.pop("now", timezone.now())
        open_session(user=lock_user(user.id), device_name=name, now=now, **fields)
    return session_of(user)


def phone(user: User, token: str = "", **fields: Any) -> DeviceToken:
    return device_of(user, token or f"token-{uuid4()}", **fields)


def unseen(device: DeviceToken, since: timedelta) -> None:
    at = timezone.now() - since
    DeviceToken.objects.filter(id=device.id).update(last_seen_at=at, owned_since=at)
