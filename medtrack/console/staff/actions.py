"""Who is staff and as what: the only door to `is_staff`, to the roles and to a lost second factor."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from allauth.mfa.models import Authenticator
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session as BrowserSession
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from medtrack.database.clock import database_now
from users.models import User

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Refused(Exception):
    """Somebody cannot be appointed so. A page says why; the API, which knows no staff, has no such problem."""

    detail: "StrOrPromise"

    def __str__(self) -> str:
        return str(self.detail)


class NotAPerson(Refused):
    """Nobody active has this e-mail."""

    detail = _("Nobody with this e-mail has an account that is active.")


class ClosedAccount(Refused):
    """The account with this e-mail is deactivated."""

    detail = _("The account with this e-mail is deactivated.")


class UnverifiedEmail(Refused):
    """The account's e-mail is not confirmed: anyone may have signed up with the address of a future colleague."""

    detail = _("This account has not confirmed this e-mail, which may belong to someone else.")


class UnknownRole(Refused):
    """There is no role of this name."""

    detail = _("There is no role of this name.")


class SuperuserStays(Refused):
    """Superusers are made and unmade with manage.py, not from a page."""

    detail = _("A superuser has every right, and is changed with manage.py only.")


@transaction.atomic
def appoint_staff(*, email: str, roles: Iterable[str]) -> User:
    """The person may use the admin, with exactly these roles.

    Raises NotAPerson, UnverifiedEmail, UnknownRole and SuperuserStays.
    """
    found = User.objects.active().with_email(email).select_for_update(no_key=True).first()
    if found is None:
        raise NotAPerson
    if not found.email_verified_at and not found.is_superuser:
        raise UnverifiedEmail
    return _set_roles(found, roles)


@transaction.atomic
def change_roles(*, user: User, roles: Iterable[str]) -> User:
    """Exactly these roles; without any, the person is staff no more. Raises as `appoint_staff`."""
    held = User.objects.active().select_for_update(no_key=True).filter(pk=user.pk).first()
    if held is None:
        raise NotAPerson
    return _set_roles(held, roles)


class Forgotten(NamedTuple):
    """How many factors were forgotten, and how many sessions of the console ended with them."""

    factors: int
    sessions: int


@transaction.atomic
def forget_factors(*, user: User) -> Forgotten:
    """Whoever lost the second factor sets up another after the next password, which is asked for anew."""
    factors: int = Authenticator.objects.filter(user=user).delete()[0]
    return Forgotten(factors, end_console_sessions(user=user))


def end_console_sessions(*, user: User) -> int:
    """Returns how many there were. A session names its person only inside, so each has to be opened."""
    running = BrowserSession.objects.filter(expire_date__gt=database_now())
    theirs = [
        session.session_key
        for session in running.iterator()
        if session.get_decoded().get(SESSION_KEY) == str(user.pk)
    ]
    return BrowserSession.objects.filter(session_key__in=theirs).delete()[0]


def roles_named(names: Iterable[str]) -> list[Group]:
    """Raises UnknownRole."""
    wanted = set(names)
    groups = list(Group.objects.filter(name__in=wanted))
    if {group.name for group in groups} != wanted:
        raise UnknownRole
    return groups


def _set_roles(user: User, roles: Iterable[str]) -> User:
    if user.is_superuser:
        raise SuperuserStays
    groups = roles_named(roles)
    user.is_staff = bool(groups)
    user.save(update_fields=["is_staff", "updated_at"])
    user.groups.set(groups)
    return user
