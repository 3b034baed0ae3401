"""Tasks that send mails. They have a worker of their own, so that a slow mail server delays no reminder.

A task carries an id and no address. If Redis loses it, the user can request the mail again.
"""

from typing import Any
from uuid import UUID

from celery import shared_task

from medtrack.database.clock import database_now
from users import mails
from users.models import User

# Four retries: after 10, 20, 40 and 80 s.
RETRIES: dict[str, Any] = {
    "autoretry_for": (OSError,),
    "max_retries": 4,
    "retry_backoff": 10,
    "retry_jitter": False,
}


@shared_task(**RETRIES)
def send_password_link(user_id: str) -> None:
    """Sends nothing for an id without a user: a request for an unknown e-mail also queues a task."""
    user = User.objects.active().exclude(email=None).filter(id=UUID(user_id)).first()
    if user:
        mails.send_password_link(user, now=database_now())


@shared_task(**RETRIES)
def send_email_link(user_id: str) -> None:
    unverified = User.objects.active().exclude(email=None).filter(email_verified_at=None)
    user = unverified.filter(id=UUID(user_id)).first()
    if user:
        mails.send_email_link(user, now=database_now())
