"""People whom others vouch for: recognised by issuer and subject, never by e-mail.

Tokens are checked, and an issuer's keys fetched, before any transaction begins.
"""

from datetime import datetime, timedelta
from hmac import compare_digest
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import Http404
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import AuthenticationFailed

from medtrack.http.problems import field_error
from users.actions.accounts import lock_user, release_unconfirmed_email
from users.actions.sessions import Credentials, make_room, open_session
from users.models import Identity, Session, User
from users.outside_tokens import Claims, unverified_issuer, verified
from users.signing_keys import signing_keys
from users.tokens import InvalidToken

# How often a session of an outside issuer is noted down as used.
_NOTED_EVERY = timedelta(hours=1)


class InvalidIdToken(AuthenticationFailed):
    """The id token is not its issuer's, not for us, too old, or its person has left."""

    default_detail = _("The sign-in could not be confirmed. Try again.")
    default_code = "invalid_id_token"


def verified_id_token(*, provider: str, id_token: str, nonce: str = "") -> Claims:
    """For whom the provider vouches.

    Raises InvalidIdToken, IssuerUnavailable, and ValidationError for a provider that is not set up here.
    """
    issuer = settings.SOCIAL_ISSUERS[provider]
    if not issuer.audiences:
        raise field_error("provider", _("This way to sign in is not set up here."), code="not_set_up")
    try:
        claims = verified(id_token, issuer)
    except InvalidToken as error:
        raise InvalidIdToken from error
    if nonce and not compare_digest(nonce.encode(), claims.nonce.encode()):
        raise InvalidIdToken
    return claims


def log_in_socially(
    *, claims: Claims, now: datetime, device_name: str = "", end_session: UUID | None = None
) -> Credentials:
    """A session for the person of an id token, at first use a new person.

    Raises InvalidIdToken, LimitReached, and NotFound when `end_session` is not the person's.
    """
    try:
        return _open(claims, device_name, now, end_session)
    except (InvalidToken, Http404, IntegrityError) as error:  # erased before, or at this moment
        raise InvalidIdToken from error


@transaction.atomic
def _open(claims: Claims, device_name: str, now: datetime, end_session: UUID | None) -> Credentials:
    _refuse_erased(claims)
    user = lock_user(_identity(claims, now).user_id)
    if not user.is_active:
        raise InvalidIdToken
    return open_session(user=user, device_name=device_name, now=now, end_session=end_session)


def outside_session(token: str, *, now: datetime) -> Session:
    """The session that an outside issuer's own access token belongs to, at first use a new one, with its person.

    Raises InvalidToken, IssuerUnavailable and LimitReached.
    """
    issuer = settings.OUTSIDE_ISSUERS.get(unverified_issuer(token)) if settings.OUTSIDE_ISSUERS else None
    if issuer is None:
        raise InvalidToken
    claims = verified(token, issuer)
    try:
        session = _session(claims) or _first_session(claims, now)
        if not claims.session:
            session = _without_a_name(session, claims, now)
        if session.expires_at <= now and not session.revoked_at:
            session = _begin_again(session, now)
    except (IntegrityError, Http404) as error:  # the person was erased at this moment
        raise InvalidToken from error
    if session.revoked_at or not session.user.is_active or session.user.deleted_at:
        raise InvalidToken
    if session.last_used_at <= now - _NOTED_EVERY:
        lasting = {"last_used_at": now, "expires_at": now + settings.REFRESH_TOKEN_LIFETIME}
        Session.objects.filter(id=session.id, revoked_at=None).update(**lasting)
    return session


@transaction.atomic
def _begin_again(expired: Session, now: datetime) -> Session:
    """An expired session counts as a new one. Raises LimitReached and Http404."""
    user = lock_user(expired.user_id)
    session = Session.objects.select_related("user").get(id=expired.id)
    if session.expires_at <= now and not session.revoked_at:
        make_room(user=user, now=now)
        session.last_used_at, session.expires_at = now, now + settings.REFRESH_TOKEN_LIFETIME
        session.save(update_fields=["last_used_at", "expires_at"])
    return session


def _session(claims: Claims) -> Session | None:
    return (
        Session.objects.select_related("user")
        .filter(identity__issuer=claims.issuer, identity__subject=claims.subject, outside_id=claims.session)
        .first()
    )


def forget_identities(*, user: User, now: datetime) -> None:
    """What the issuer said before is not to make the person anew; of whom it was said cannot be told any more."""
    for identity in user.identities.select_for_update(nowait=True):
        erased = _erased_subjects(identity.issuer, identity.subject)
        Identity.objects.filter(issuer=identity.issuer, subject__in=erased).delete()
        Identity.objects.filter(id=identity.id).update(subject=erased[0], created_at=now)


def _refuse_erased(claims: Claims) -> None:
    """Raises InvalidToken for a token that was issued before its person was erased."""
    erased = _erased_subjects(claims.issuer, claims.subject)
    gone = Identity.objects.filter(issuer=claims.issuer, subject__in=erased)
    if gone.filter(created_at__gte=claims.issued_at).exists():
        raise InvalidToken


def _erased_subjects(issuer: str, subject: str) -> list[str]:
    """What replaces the subject, by each signing key, the present key's first."""
    salt, value = "users.actions.identities.erased", f"{issuer} {subject}"
    return ["erased " + salted_hmac(salt, value, secret=key).hexdigest() for key in signing_keys()]


@transaction.atomic
def _first_session(claims: Claims, now: datetime) -> Session:
    """Or that of another request that was faster. Raises InvalidToken, LimitReached and Http404."""
    _refuse_erased(claims)
    identity = _identity(claims, now)
    user = lock_user(identity.user_id)
    if found := _session(claims):
        return found
    make_room(user=user, now=now)
    return Session.objects.create(
        user=user,
        identity=identity,
        outside_id=claims.session,
        family=uuid4(),
        device_name=claims.provider,
        created_at=now,
        last_used_at=now,
        expires_at=now + settings.REFRESH_TOKEN_LIFETIME,
    )


def _without_a_name(session: Session, claims: Claims, now: datetime) -> Session:
    """The session of tokens whose issuer does not name theirs. Any of them may belong to one that was ended after
    it was issued, and is refused; a later one begins a session anew, so that nobody is signed out for ever.

    The ended one stays as it is, under another name: its devices belong to it, and get nothing any more.
    """
    if Session.objects.filter(identity=session.identity_id, revoked_at__gte=claims.issued_at).exists():
        raise InvalidToken
    if not session.revoked_at:
        return session
    Session.objects.filter(id=session.id, outside_id="").update(outside_id=f"ended {session.id}")
    return _first_session(claims, now)


def _identity(claims: Claims, now: datetime) -> Identity:
    """At first use with a new person. Of two at the same moment one makes it, and the other's attempt leaves nothing."""
    known = Identity.objects.select_related("user").filter(issuer=claims.issuer, subject=claims.subject)
    if found := known.first():
        return found
    try:
        with transaction.atomic():
            user = _new_person(claims, now)
            return Identity.objects.create(user=user, issuer=claims.issuer, subject=claims.subject)
    except IntegrityError as error:
        if "identities_are_unique" in str(error):
            return known.get()
        raise


def _new_person(claims: Claims, now: datetime) -> User:
    """With the e-mail that the issuer has verified, unless somebody has it: that may be somebody else."""
    profile = {"name": claims.name, "provider": claims.provider}
    if claims.email:
        try:
            with transaction.atomic():
                release_unconfirmed_email(email=claims.email, now=now)
                return User.objects.create_user(claims.email, email_verified_at=now, **profile)
        except IntegrityError as error:
            if "users_email_is_unique" not in str(error):
                raise
    return User.objects.create_user(None, **profile)
