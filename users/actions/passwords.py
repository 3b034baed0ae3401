"""Passwords: changed by who knows the old one, replaced by who reads the person's mail."""

from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from medtrack.http.problems import field_error
from users.actions.accounts import lock_user
from users.actions.sessions import end_sessions
from users.links import InvalidLink, PasswordLink
from users.models import Session, User
from users.password_rules import refuse_weak


def change_password(*, session: Session, password: str, new_password: str, now: datetime) -> None:
    """The new password; all other sessions end. Raises PasswordsBusy, and ValidationError naming the field."""
    user = User.objects.get(id=session.user_id)
    if not user.check_password(password):
        raise _wrong_password()
    refuse_weak(new_password, of=user, field="new_password")
    hashed = make_password(new_password)
    with transaction.atomic():
        unchanged = User.objects.filter(id=user.id, password=user.password)
        if not unchanged.update(password=hashed, updated_at=now):
            raise _wrong_password()
        end_sessions(user_id=user.id, now=now, keep=session.id)


def reset_password(*, token: str, password: str, now: datetime) -> None:
    """The new password, by the link of a mail; all sessions end.

    Raises InvalidLink, PasswordsBusy and ValidationError.
    Opening the mail also confirms the address that it was sent to.
    """
    link = PasswordLink(now=now)
    user = link.user(token)
    refuse_weak(password, of=user, field="password")
    hashed = make_password(password)
    with transaction.atomic():
        user = lock_user(user.id)
        if not link.is_good_for(user, token):
            raise InvalidLink
        user.password = hashed
        user.email_verified_at = user.email_verified_at or now
        user.save(update_fields=["password", "email_verified_at", "updated_at"])
        end_sessions(user_id=user.id, now=now)


def _wrong_password() -> Exception:
    return field_error("password", _("The password is wrong."), code="wrong_password")
