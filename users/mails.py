"""The mails that people get from us, in their language: short, with one link."""

from datetime import datetime
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import translation
from django.utils.translation import gettext as _

from users.links import EmailLink, OneTimeLink, PasswordLink
from users.models import User

log = structlog.get_logger(__name__)


def send_password_link(user: User, *, now: datetime) -> None:
    with translation.override(user.language):
        link = _address(PasswordLink(now=now), user)
        text = _(
            "Open this link to choose a new password. It works once, for one hour:\n\n%(link)s\n\n"
            "If you did not ask for it, you need not do anything."
        )
        _send(user, _("Your new MedTrack password"), text % {"link": link})


def send_email_link(user: User, *, now: datetime) -> None:
    with translation.override(user.language):
        link = _address(EmailLink(now=now), user)
        text = _(
            "Open this link to confirm that this e-mail address is yours. It works once, for three days:\n\n%(link)s\n\n"
            "If you do not use MedTrack, you need not do anything."
        )
        _send(user, _("Confirm your e-mail for MedTrack"), text % {"link": link})


def _address(link: OneTimeLink, user: User) -> str:
    return f"{settings.APP_URL}/{link.path}?{urlencode({'token': link.token(user)})}"


def _send(user: User, subject: str, text: str) -> None:
    missing = [name for name in ("EMAIL_URL", "APP_URL") if not getattr(settings, name)]
    if missing:
        log.error("mail not sent", missing=missing)
        return
    headers = {"Auto-Submitted": "auto-generated"}
    EmailMessage(subject, text, to=[str(user.email)], headers=headers).send()
