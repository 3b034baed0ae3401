from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Lower

if TYPE_CHECKING:
    from users.models import Session, User  # noqa: F401


def folded(email: str) -> str:
    """In lower case as PostgreSQL does it: letter by letter."""
    return "".join(letter.lower()[0] for letter in email)


class UserQuerySet(models.QuerySet["User"]):
    def active(self) -> "UserQuerySet":
        return self.filter(is_active=True, deleted_at=None)

    def with_email(self, email: str) -> "UserQuerySet":
        matching: UserQuerySet = self.alias(email_lower=Lower("email")).filter(
            email_lower=Lower(models.Value(email))
        )
        return matching


class SessionQuerySet(models.QuerySet["Session"]):
    def visible_to(self, user: "User", *, now: datetime) -> "SessionQuerySet":
        return self.filter(user=user, revoked_at=None, expires_at__gt=now)
