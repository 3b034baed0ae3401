"""Changes who is staff, with which roles, and resets lost second factors. Nothing else writes these.

Each action adds a row to the access log in its own transaction.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session as BrowserSession
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from users.access_log import Actor, record_action
from users.models import User

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class StaffChangeRefused(Exception):
    """A change of the staff that is not possible; `detail` is for the page. The API has no such problem."""

    detail: "StrOrPromise"

    def __str__(self) -> str:
        return str(self.detail)


class NoActiveAccount(StaffChangeRefused):
    """No active account has this e-mail."""

    detail = _("No active account has this e-mail.")


class ClosedAccount(StaffChangeRefused):
    """The account with this e-mail is deactivated."""

    detail = _("The account with this e-mail is deactivated.")


class UnverifiedEmail(StaffChangeRefused):
    """The account's e-mail is not confirmed.

    A stranger may have signed up with a future colleague's address.
    """

    detail = _("This account has not confirmed this e-mail, which may belong to someone else.")


class UnknownRole(StaffChangeRefused):
    """There is no role of this name."""

    detail = _("There is no role of this name.")


class SuperuserStays(StaffChangeRefused):
    """Superusers are made and unmade with manage.py, not from a page."""

    detail = _("A superuser has every right, and is changed with manage.py only.")


class ResetFactor(NamedTuple):
    """How many second factors were deleted, recovery codes included, and how many console sessions ended."""

    factors: int
    sessions: int


@transaction.atomic
def appoint_staff(*, email: str, roles: Iterable[str], by: Actor) -> User:
    """Makes the account with this e-mail staff with exactly these roles.

    Raises NoActiveAccount, UnverifiedEmail, UnknownRole and SuperuserStays.
    """
    user: User | None = User.objects.active().with_email(email).select_for_update(no_key=True).first()
    if user is None:
        raise NoActiveAccount
    if not user.email_verified_at and not user.is_superuser:
        raise UnverifiedEmail
    _set_roles(user, roles)
    record_action(by, object_id=user.pk, roles=sorted(set(roles)))
    return user


@transaction.atomic
def change_roles(*, user_id: UUID, roles: Iterable[str], by: Actor) -> User:
    """Gives the user exactly these roles. Without roles, the user is not staff any more.

    Raises the errors of `appoint_staff`.
    """
    user: User | None = User.objects.active().select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        raise NoActiveAccount
    before = sorted(user.groups.values_list("name", flat=True))
    _set_roles(user, roles)
    record_action(by, object_id=user.pk, roles=list(roles), before=before)
    return user


@transaction.atomic
def reset_second_factor(*, user_id: UUID, by: Actor, now: datetime) -> ResetFactor:
    """Deletes the user's second factors and ends their console sessions.

    The next sign-in sets up another factor.
    """
    factors: int = Authenticator.objects.filter(user_id=user_id).delete()[0]
    sessions = end_console_sessions(user_id=user_id, now=now)
    record_action(by, object_id=user_id, forgotten_factors=factors, ended_sessions=sessions)
    return ResetFactor(factors, sessions)


def end_console_sessions(*, user_id: UUID, now: datetime) -> int:
    """Returns how many sessions ended."""
    # Django's sessions name the user only in their encoded data, so each has to be decoded.
    keys = [
        session.session_key
        for session in BrowserSession.objects.filter(expire_date__gt=now).iterator()
        if session.get_decoded().get(SESSION_KEY) == str(user_id)
    ]
    return BrowserSession.objects.filter(session_key__in=keys).delete()[0]


def roles_named(names: Iterable[str]) -> list[Group]:
    """Raises UnknownRole."""
    unique = set(names)
    groups = list(Group.objects.filter(name__in=unique))
    if {group.name for group in groups} != unique:
        raise UnknownRole
    return groups


def _set_roles(user: User, roles: Iterable[str]) -> None:
    if user.is_superuser:
        raise SuperuserStays
    groups = roles_named(roles)
    user.is_staff = bool(groups)
    user.save(update_fields=["is_staff", "updated_at"])
    user.groups.set(groups)
