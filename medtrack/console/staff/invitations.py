"""Inviting people to the staff: a link that works once leads to a password, and from there to a second factor."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from medtrack.console import tasks
from medtrack.console.models import Invitation
from medtrack.console.staff.actions import (
    ClosedAccount,
    Refused,
    UnverifiedEmail,
    end_console_sessions,
    roles_named,
)
from users.actions import end_sessions
from users.actions.accounts import release_unconfirmed_email
from users.actions.emails import MailUnavailable, queue_mail
from users.email_addresses import canonical_email
from users.models import User
from users.password_rules import refuse_weak

LIFETIME = timedelta(days=3)
KEPT = timedelta(days=30)  # after it expired, so that it can be sent again


class AlreadyStaff(Refused):
    """The account is staff already."""

    detail = _("This person is staff already. Change the roles on their page.")


class InvitedMeanwhile(Refused):
    """Someone else invited the same address at the same moment."""

    detail = _("This person was invited by someone else at this moment.")


class InvitationOver(Refused):
    """The invitation was used, withdrawn or replaced, or its time is over."""

    detail = _("This invitation is not valid any more.")


@transaction.atomic
def invite(
    *,
    email: str,
    roles: Iterable[str] = (),
    is_superuser: bool = False,
    by: User | None,
    language: str,
    now: datetime,
) -> Invitation:
    """The newest invitation of the address; an older one is withdrawn. Mailing its link is another step.

    Raises ValidationError for an address that we do not take, and Refused.
    """
    email = canonical_email(email)
    groups = roles_named(roles)
    # No address is kept for long after its invitation expired.
    Invitation.objects.open().filter(expires_at__lte=now - KEPT).update(withdrawn_at=now, email=None)
    Invitation.objects.open().with_email(email).update(withdrawn_at=now, email=None)
    account = _account(email, is_superuser=is_superuser, now=now)
    try:
        with transaction.atomic():
            return Invitation.objects.create(
                email=email,
                roles=sorted(group.name for group in groups),
                is_superuser=is_superuser,
                language=account.language if account else language,
                invited_by=by,
                created_at=now,
                expires_at=now + LIFETIME,
            )
    except IntegrityError as error:
        raise InvitedMeanwhile from error


def invite_again(*, invitation: Invitation, by: User | None, now: datetime) -> Invitation:
    """A fresh link for the same person and roles, in place of the older one. Raises as `invite`."""
    return invite(
        email=invitation.email or "",
        roles=invitation.roles,
        is_superuser=invitation.is_superuser,
        by=by,
        language=invitation.language,
        now=now,
    )


def withdraw(*, invitation: Invitation, now: datetime) -> None:
    """Raises InvitationOver."""
    if not Invitation.objects.open().filter(id=invitation.id).update(withdrawn_at=now, email=None):
        raise InvitationOver


def mail_invitation(invitation: Invitation) -> bool:
    """Whether a mail with the link is on its way; otherwise the link has to be handed over."""
    if not settings.CONSOLE_URL or settings.EMAIL_URL.partition(":")[0] in ("", "consolemail", "dummymail"):
        return False
    try:
        queue_mail(tasks.send_invitation, str(invitation.id))
    except MailUnavailable:
        return False
    return True


def accept(*, invitation: Invitation, name: str, password: str, now: datetime) -> User:
    """The person with this name and password is staff now; what they were signed in on is ended.

    Raises DRF's ValidationError for a weak password, and Refused. Of two at once one wins.
    """
    email = invitation.email or ""
    refuse_weak(password, of=User(email=email, name=name), field="password")
    hashed = make_password(password)
    with transaction.atomic():
        acceptable = Invitation.objects.acceptable(now=now).filter(id=invitation.id)
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
        end_sessions(user_id=user.id, now=now)
        end_console_sessions(user=user)
    return user


def _account(email: str, *, is_superuser: bool, now: datetime) -> User | None:
    """The account that the address belongs to, locked; None when there is to be a new one. Raises Refused."""
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
            # Staff from the first moment: nobody sees them among the patients.
            account: User = User.objects.create_user(
                email, language=language, is_staff=True, email_verified_at=now
            )
            return account
    except IntegrityError as error:
        raise UnverifiedEmail from error
