"""Passwords: changed by a user who knows the old one, or reset by the link in a mail."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from medtrack.http.problems import field_error
from users.actions.accounts import lock_user
from users.actions.sessions import end_sessions
from users.links import InvalidLink, PasswordLink
from users.models import User
from users.password_rules import refuse_weak


def change_password(*, by: User, session_id: UUID, password: str, new_password: str, now: datetime) -> None:
    """Sets the new password and ends all other sessions.

    Raises PasswordsBusy, and ValidationError with the name of the field.
    """
    user = User.objects.get(id=by.id)
    wrong_password = field_error("password", _("The password is wrong."), code="wrong_password")
    if not user.check_password(password):
        raise wrong_password
    refuse_weak(new_password, of=user, field="new_password")
    # Hashing may wait for its slot, so it is done before the transaction begins.
    hashed = make_password(new_password)
    with transaction.atomic():
        # Of two changes at the same time one finds another password than the one that it checked.
        unchanged = User.objects.filter(id=user.id, password=user.password)
        if not unchanged.update(password=hashed, updated_at=now):
            raise wrong_password
        end_sessions(user_id=user.id, now=now, keep=session_id)


def reset_password(*, token: str, password: str, now: datetime) -> None:
    """Sets the new password by the token of a mail's link, confirms the e-mail, and ends all sessions.

    Raises InvalidLink, PasswordsBusy and ValidationError.
    """
    link = PasswordLink(now=now)
    user = link.user(token)
    refuse_weak(password, of=user, field="password")
    # Hashing may wait for its slot, so it is done before the transaction begins.
    hashed = make_password(password)
    with transaction.atomic():
        user = lock_user(user.id)
        # The link may have been used since the look above.
        if not link.is_valid_for(user, token):
            raise InvalidLink
        user.password = hashed
        user.email_verified_at = user.email_verified_at or now
        user.save(update_fields=["password", "email_verified_at", "updated_at"])
        end_sessions(user_id=user.id, now=now)
