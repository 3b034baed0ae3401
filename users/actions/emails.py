"""Mails that a person asks for, and the e-mail that one of them confirms."""

from datetime import datetime
from typing import Any

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

# A link that could not be sent for so long is not waited for any more.
_EXPIRES = 3600
_BROKER = {"socket_connect_timeout": 1.0, "socket_timeout": 1.0, "max_retries": 0}


class MailUnavailable(Unavailable):
    """Mails cannot be queued at the moment, to nobody at all."""

    default_detail = _("We cannot send mails at the moment. Try again in a few minutes.")


class NothingToVerify(Conflict):
    """The caller has no e-mail, or has confirmed it."""

    default_detail = _("There is no e-mail address that waits to be confirmed.")


def account_of(email: str) -> str:
    """The id of the account with this address, or nothing."""
    found = User.objects.active().with_email(email).values_list("id", flat=True).first()
    return str(found or "")


def ask_for_password_link(*, account: str, wait: float = 0) -> None:
    """A mail in `wait` seconds if there is an account, and the same work if not. Raises MailUnavailable."""
    queue_mail(tasks.send_password_link, account or uuid7_text(), wait)


def refuse_verified(user: User) -> None:
    """Raises NothingToVerify."""
    if not user.email or user.email_verified_at:
        raise NothingToVerify


def ask_for_email_link(*, user: User, wait: float = 0) -> None:
    """A mail in `wait` seconds. Raises MailUnavailable."""
    queue_mail(tasks.send_email_link, str(user.id), wait)


def greet(*, user: User, wait: float = 0) -> None:
    """The first mail to a new person. Signing up succeeds without it, and it can be asked for again."""
    try:
        ask_for_email_link(user=user, wait=wait)
    except MailUnavailable:
        log.warning("a new person got no mail")


def verify_email(*, token: str, now: datetime) -> None:
    """The e-mail is the person's. Raises InvalidLink."""
    user = EmailLink(now=now).user(token)
    unverified = User.objects.filter(id=user.id, email=user.email, email_verified_at=None)
    if not unverified.update(email_verified_at=now, updated_at=now):
        raise InvalidLink


def queue_mail(task: Any, row_id: str, wait: float = 0) -> None:
    """With a connection of its own, which gives up soon: the workers' may wait for the broker as long as it takes.

    The task is given the id of the row that the mail is about, in `wait` seconds. Raises MailUnavailable.
    """
    try:
        with current_app.connection_for_write(transport_options=_BROKER) as connection:
            task.apply_async(
                (row_id,), countdown=wait, connection=connection, retry=False, expires=wait + _EXPIRES
            )
    except OperationalError as error:
        raise MailUnavailable from error
