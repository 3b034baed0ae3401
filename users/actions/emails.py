"""Mails that a user requests, and confirming the e-mail by the link in one of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from celery import current_app
from django.utils.translation import gettext_lazy as _
from kombu.exceptions import OperationalError

from medtrack.database.ids import uuid7_text
from medtrack.http.problems import Conflict, Unavailable
from users import tasks
from users.links import EmailLink, InvalidLink
from users.models import User

log = structlog.get_logger(__name__)

# Seconds. A mail that could not be sent within this time after it was due is dropped.
_EXPIRES = 3600
# A request gives up after a second; the default would retry as long as the broker is away.
_BROKER = {"socket_connect_timeout": 1.0, "socket_timeout": 1.0, "max_retries": 0}


class MailUnavailable(Unavailable):
    """No mail can be queued at the moment, whether or not the address has an account."""

    default_detail = _("We cannot send mails at the moment. Try again in a few minutes.")


class NothingToVerify(Conflict):
    """The caller has no e-mail, or has confirmed it already."""

    default_detail = _("You have no e-mail address that needs to be confirmed.")


def account_id(email: str) -> str:
    """Returns the id of the active account with this address; empty if there is none."""
    return str(User.objects.active().with_email(email).values_list("id", flat=True).first() or "")


def queue_password_link(*, user_id: str, wait: float = 0) -> None:
    """Queues the mail with which to choose a new password, to be sent in `wait` seconds. Raises MailUnavailable.

    Without an account a task is queued all the same, so that both cases take the same time.
    """
    queue_mail(tasks.send_password_link, user_id or uuid7_text(), wait)


def require_unverified_email(user: User) -> None:
    """Raises NothingToVerify."""
    if not user.email or user.email_verified_at:
        raise NothingToVerify


def queue_email_link(*, user_id: UUID, wait: float = 0) -> None:
    """Queues the mail that confirms the e-mail, to be sent in `wait` seconds. Raises MailUnavailable."""
    queue_mail(tasks.send_email_link, str(user_id), wait)


def queue_first_email_link(*, user_id: UUID, wait: float = 0) -> None:
    """As `queue_email_link`, but signing up succeeds also when no mail can be queued: it can be requested later."""
    try:
        queue_email_link(user_id=user_id, wait=wait)
    except MailUnavailable:
        log.warning("first mail not queued")


def queue_mail(task: Any, row_id: str, wait: float = 0) -> None:
    """Queues a task that sends a mail about the row with this id in `wait` seconds. Raises MailUnavailable."""
    try:
        # Not the application's own connection, which waits for the broker without a limit.
        with current_app.connection_for_write(transport_options=_BROKER) as connection:
            task.apply_async(
                (row_id,), countdown=wait, connection=connection, retry=False, expires=wait + _EXPIRES
            )
    except OperationalError as error:
        raise MailUnavailable from error


def verify_email(*, token: str, now: datetime) -> None:
    """Marks the e-mail as confirmed, by the token of a mail's link. Raises InvalidLink."""
    user = EmailLink(now=now).user(token)
    # The conditions are checked again by the UPDATE: a second use of the link may be running.
    unverified = User.objects.filter(id=user.id, email=user.email, email_verified_at=None)
    if not unverified.update(email_verified_at=now, updated_at=now):
        raise InvalidLink
