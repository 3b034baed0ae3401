"""The links in mails: each has a token that names a user and is valid until it is used, expires, or the e-mail changes."""

from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db.models import Model
from django.utils.http import base36_to_int
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException

from users.models import User


class InvalidLink(APIException):
    """The token of a mail's link was used, has expired, or was not made here."""

    status_code = 400
    default_detail = _("This link was used already or has expired. Request a new one.")
    default_code = "invalid_link"


class OneTimeLink(PasswordResetTokenGenerator):
    lifetime: timedelta
    path: str

    def __init__(self, *, now: datetime) -> None:
        super().__init__()
        self._instant = now

    def token(self, user: User) -> str:
        return f"{user.id.hex}-{self.make_token(user)}"

    def user(self, token: str) -> User:
        """Returns the user for whom the token was made. Raises InvalidLink."""
        user_id, _dash, _proof = token.partition("-")
        try:
            user: User | None = User.objects.active().filter(id=UUID(user_id)).first()
        except ValueError:
            user = None
        if user is None or not self.is_valid_for(user, token):
            raise InvalidLink
        return user

    def is_valid_for(self, user: User, token: str) -> bool:
        proof = token.partition("-")[2]
        if not self.check_token(user, proof):
            return False
        made_at = base36_to_int(proof.partition("-")[0])
        return self._num_seconds(self._now()) - made_at <= self.lifetime.total_seconds()

    def _now(self) -> datetime:
        """Overrides Django's method, which reads the process's clock; the result is naive there, too."""
        return self._instant.replace(tzinfo=None)


class PasswordLink(OneTimeLink):
    """To choose a new password. Not valid any more once the password or the e-mail changes."""

    key_salt = "users.links.password"
    lifetime = timedelta(hours=1)
    path = "password/reset"


class EmailLink(OneTimeLink):
    """To confirm an e-mail. Not valid any more once the e-mail changes or is confirmed."""

    key_salt = "users.links.email"
    lifetime = timedelta(days=3)
    path = "email/verify"

    def _make_hash_value(self, user: Model, timestamp: int) -> str:
        assert isinstance(user, User)  # noqa: S101 - narrows the type of Django's method
        return f"{user.pk}{user.email}{user.email_verified_at}{timestamp}"
