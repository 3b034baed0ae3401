from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Lower

from users.email_addresses import comparable_email

if TYPE_CHECKING:
    from users.models import Session, User  # noqa: F401


CONFIRM_EMAIL_WITHIN = timedelta(days=7)


def folded(email: str) -> str:
    """Returns the address as accounts are looked up by it: in the stored form, lower case as in PostgreSQL."""
    return "".join(letter.lower()[0] for letter in comparable_email(email))


def is_patient(user: str = "") -> models.Q:
    """The condition of the view `patients`;

    `user` is the prefix of lookups through a relation, such as `user__`.
    """
    return models.Q(**{f"{user}is_staff": False, f"{user}is_superuser": False, f"{user}deleted_at": None})


class UserQuerySet(models.QuerySet["User"]):
    def patients(self) -> "UserQuerySet":
        """Users who are neither staff nor deleted."""
        return self.filter(is_patient())

    def active(self) -> "UserQuerySet":
        return self.filter(is_active=True, deleted_at=None)

    def with_email(self, email: str) -> "UserQuerySet":
        """Users with this address, as written or in the form that is stored, compared without case."""
        forms = [Lower(models.Value(form)) for form in {email, comparable_email(email)}]
        matching: UserQuerySet = self.alias(email_lower=Lower("email")).filter(email_lower__in=forms)
        return matching

    def with_lapsed_email(self, *, now: datetime) -> "UserQuerySet":
        """Users whose address was not confirmed in time, so that another account may have it."""
        lapsed_since = now - CONFIRM_EMAIL_WITHIN
        return self.filter(
            email_verified_at=None, is_staff=False, is_superuser=False, created_at__lte=lapsed_since
        )


class SessionQuerySet(models.QuerySet["Session"]):
    def living(self, *, now: datetime) -> "SessionQuerySet":
        """Sessions that have not ended by `now`: what the view `living_sessions` says in SQL.

        The view also requires an active user. Here that is the caller's, so that the rows can be locked and
        updated without a join.
        """
        return self.filter(revoked_at=None, expires_at__gt=now)

    def visible_to(self, user: "User", *, now: datetime) -> "SessionQuerySet":
        return self.living(now=now).filter(user=user)
