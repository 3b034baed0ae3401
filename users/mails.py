"""The mails that users get, in their language: a short text with one link."""

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
        send_mail(str(user.email), _("Your new MedTrack password"), text % {"link": link})


def send_email_link(user: User, *, now: datetime) -> None:
    with translation.override(user.language):
        link = _address(EmailLink(now=now), user)
        text = _(
            "Open this link to confirm that this e-mail address is yours. It works once, for three days:\n\n%(link)s\n\n"
            "If you do not use MedTrack, you need not do anything."
        )
        send_mail(str(user.email), _("Confirm your e-mail for MedTrack"), text % {"link": link})


def _address(link: OneTimeLink, user: User) -> str:
    return f"{settings.APP_URL}/{link.path}?{urlencode({'token': link.token(user)})}"


def send_mail(to: str, subject: str, text: str, *, leads_to: str = "APP_URL") -> None:
    """`leads_to` names the setting that the mail's link begins with."""
    missing = [name for name in ("EMAIL_URL", leads_to) if not getattr(settings, name)]
    if missing:
        log.error("mail not sent", missing=missing)
        return
    headers = {"Auto-Submitted": "auto-generated"}
    EmailMessage(subject, text, to=[to], headers=headers).send()
