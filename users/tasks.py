"""Mails, queued by requests and sent by a worker of their own, so that a slow mail server delays no reminder.

A task carries an id and no address. A mail that is lost with Redis is asked for again.
"""

from typing import Any
from uuid import UUID

from celery import shared_task

from medtrack.database.clock import database_now
from users import mails
from users.models import User

# A mail server that is away is asked four more times, after 10 s at first and 80 s at last.
PATIENCE: dict[str, Any] = {
    "autoretry_for": (OSError,),
    "max_retries": 4,
    "retry_backoff": 10,
    "retry_jitter": False,
}


@shared_task(**PATIENCE)
def send_password_link(user_id: str) -> None:
    """Nothing for an id that was made up, so that asking for nobody's password looks like asking for somebody's."""
    user = User.objects.active().exclude(email=None).filter(id=UUID(user_id)).first()
    if user:
        mails.send_password_link(user, now=database_now())


@shared_task(**PATIENCE)
def send_email_link(user_id: str) -> None:
    unverified = User.objects.active().exclude(email=None).filter(email_verified_at=None)
    user = unverified.filter(id=UUID(user_id)).first()
    if user:
        mails.send_email_link(user, now=database_now())
