"""Invites to the staff: a link that works once leads to a page for a password, then to a second factor."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from medtrack.console.models import Invitation
from medtrack.console.staff.actions import (
    ClosedAccount,
    StaffChangeRefused,
    UnverifiedEmail,
    end_console_sessions,
    roles_named,
)
from medtrack.console.staff.tasks import send_invitation
from users.access_log import Actor, record_action
from users.actions import end_sessions
from users.actions.accounts import release_unconfirmed_email
from users.actions.emails import MailUnavailable, queue_mail
from users.email_addresses import canonical_email
from users.models import User
from users.password_rules import refuse_weak

LIFETIME = timedelta(days=3)
# How long after its end an invitation keeps the address, so that it can be sent again.
KEPT = timedelta(days=30)


class AlreadyStaff(StaffChangeRefused):
    """The account is staff already."""

    detail = _("This person is staff already. Change the roles on their page.")


class InvitedConcurrently(StaffChangeRefused):
    """The same address was invited at the same moment."""

    detail = _("Someone else invited this address at the same moment.")


class InvitationOver(StaffChangeRefused):
    """The invitation was used, withdrawn or replaced, or its time is over."""

    detail = _("This invitation is not valid any more.")


@transaction.atomic
def invite(
    *,
    email: str,
    roles: Iterable[str] = (),
    is_superuser: bool = False,
    language: str,
    by: Actor,
    now: datetime,
) -> Invitation:
    """Creates an invitation and withdraws an older one of the same address. `mail_invitation` sends its link.

    Raises ValidationError for an address that cannot be stored, and StaffChangeRefused.
    """
    details: dict[str, Any] = {"superuser": True} if is_superuser else {}
    return _invite(email, roles, is_superuser, language, by, now, details)


@transaction.atomic
def invite_again(*, invitation_id: UUID, by: Actor, now: datetime) -> Invitation:
    """Creates an invitation for the same address and roles, with a new link. Raises as `invite`."""
    invitation = Invitation.objects.get(id=invitation_id)
    email, language = invitation.email or "", invitation.language
    return _invite(email, invitation.roles, invitation.is_superuser, language, by, now, {"again": True})


def _invite(
    email: str,
    roles: Iterable[str],
    is_superuser: bool,
    language: str,
    by: Actor,
    now: datetime,
    details: dict[str, Any],
) -> Invitation:
    email = canonical_email(email)
    groups = roles_named(roles)
    # Addresses of invitations that expired long ago are deleted whenever someone is invited.
    Invitation.objects.open().filter(expires_at__lte=now - KEPT).update(withdrawn_at=now, email=None)
    Invitation.objects.open().with_email(email).update(withdrawn_at=now, email=None)
    account = _account(email, is_superuser=is_superuser, now=now)
    try:
        # The unique index on open addresses decides between two invitations at the same moment.
        with transaction.atomic():
            invitation = Invitation.objects.create(
                email=email,
                roles=sorted(group.name for group in groups),
                is_superuser=is_superuser,
                language=account.language if account else language,
                invited_by_id=by.staff_id,
                created_at=now,
                expires_at=now + LIFETIME,
            )
    except IntegrityError as error:
        raise InvitedConcurrently from error
    record_action(by, object_id=invitation.pk, invited=invitation.email, roles=invitation.roles, **details)
    return invitation


@transaction.atomic
def withdraw(*, invitation_id: UUID, by: Actor, now: datetime) -> None:
    """Raises InvitationOver."""
    # Read first: withdrawing deletes the address, which the access log has to name.
    email = Invitation.objects.open().filter(id=invitation_id).values_list("email", flat=True).first()
    if not Invitation.objects.open().filter(id=invitation_id).update(withdrawn_at=now, email=None):
        raise InvitationOver
    record_action(by, object_id=invitation_id, withdrawn=email)


def mail_invitation(invitation: Invitation) -> bool:
    """Returns whether a mail with the link was queued. If not, the link has to be handed over in person."""
    if not settings.CONSOLE_URL or settings.EMAIL_URL.partition(":")[0] in ("", "consolemail", "dummymail"):
        return False
    try:
        queue_mail(send_invitation, str(invitation.id))
    except MailUnavailable:
        return False
    return True


def accept(*, invitation_id: UUID, name: str, password: str, page: Actor, now: datetime) -> User:
    """Makes the invited person staff, with this name and password, and ends all their sessions.

    The account is created if there is none. `page` is the actor, because the person is not signed in yet.
    Raises DRF's ValidationError for a weak password, and StaffChangeRefused. Of two requests at the same
    moment one succeeds.
    """
    invitation = Invitation.objects.get(id=invitation_id)
    email = invitation.email or ""
    # Checked and hashed outside the transaction: hashing takes long, and rows stay locked meanwhile.
    refuse_weak(password, of=User(email=email, name=name), field="password")
    hashed = make_password(password)
    with transaction.atomic():
        acceptable = Invitation.objects.acceptable(now=now).filter(id=invitation.id)
        # The update is the check: of two requests the second one waits for the row and finds it used.
        if not acceptable.update(accepted_at=now, email=None):
            raise InvitationOver
        groups = roles_named(invitation.roles)
        user = _account(email, is_superuser=invitation.is_superuser, now=now)
        if user is None:
            user = _new_account(email, invitation.language, now)
        user.name, user.password = name, hashed
        user.is_staff, user.is_superuser = True, invitation.is_superuser
        user.save(update_fields=["name", "password", "is_staff", "is_superuser", "updated_at"])
        user.groups.set(groups)
        # The password is new, so what was signed in with an older one ends.
        end_sessions(user_id=user.id, now=now)
        end_console_sessions(user_id=user.id, now=now)
        record_action(
            replace(page, staff_id=user.pk),
            object_id=invitation.pk,
            accepted=True,
            roles=invitation.roles,
            superuser=invitation.is_superuser,
        )
    return user


def _account(email: str, *, is_superuser: bool, now: datetime) -> User | None:
    """Returns the account with this address, locked, or None if one has to be created.

    Raises StaffChangeRefused.
    """
    account: User | None = User.objects.with_email(email).select_for_update(no_key=True).first()
    if account is None or User.objects.filter(id=account.id).with_lapsed_email(now=now).exists():
        return None
    if not account.is_active:
        raise ClosedAccount
    if account.is_superuser or (account.is_staff and not is_superuser):
        raise AlreadyStaff
    if not account.email_verified_at:
        raise UnverifiedEmail
    return account


def _new_account(email: str, language: str, now: datetime) -> User:
    """Raises UnverifiedEmail when someone signed up with the address at this moment."""
    try:
        with transaction.atomic():
            release_unconfirmed_email(email=email, now=now)
            # Created as staff, so that the account never is among the patients.
            account: User = User.objects.create_user(
                email, language=language, is_staff=True, email_verified_at=now
            )
            return account
    except IntegrityError as error:
        raise UnverifiedEmail from error
