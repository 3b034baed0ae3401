"""Users who sign in with an outside issuer: recognised by issuer and subject, never by e-mail.

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

# How often the use of an outside issuer's session is recorded.
_RECORDED_EVERY = timedelta(hours=1)


class InvalidIdToken(AuthenticationFailed):
    """The ID token was not signed by its issuer, is not for this server or too old, or its user is gone."""

    default_detail = _("The sign-in could not be confirmed. Try again.")
    default_code = "invalid_id_token"


def verified_id_token(*, provider: str, id_token: str, nonce: str = "") -> Claims:
    """Returns what the ID token says, once its signature, audience, expiry and nonce are checked.

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
    """Opens a session for the user of an ID token; the first use of an identity creates the user.

    Raises InvalidIdToken, LimitReached, and NotFound when `end_session` is not a session of the user.
    """
    try:
        with transaction.atomic():
            _refuse_erased(claims)
            user = lock_user(_get_or_create_identity(claims, now).user_id)
            if not user.is_active:
                raise InvalidIdToken
            return open_session(user=user, device_name=device_name, now=now, end_session=end_session)
    except (InvalidToken, Http404, IntegrityError) as error:  # the user was erased, before or at this moment
        raise InvalidIdToken from error


def verified_outside_token(token: str) -> Claims:
    """Returns what an outside issuer's own access token says. Raises InvalidToken and IssuerUnavailable.

    Without the database, so that refusing an invalid token costs no query.
    """
    issuer = settings.OUTSIDE_ISSUERS.get(unverified_issuer(token)) if settings.OUTSIDE_ISSUERS else None
    if issuer is None:
        raise InvalidToken
    return verified(token, issuer)


def outside_session(*, claims: Claims, now: datetime) -> Session:
    """Returns the session, with its user, that an outside issuer's own access token belongs to.

    The first token of a session creates it, and if necessary its user. Raises InvalidToken and LimitReached.
    """
    try:
        session = _find_session(claims) or _create_session(claims, now)
        if not claims.session:
            # All tokens of this identity share one session. A token that was issued before a session of the
            # identity was ended may have belonged to that one.
            if Session.objects.filter(
                identity=session.identity_id, revoked_at__gte=claims.issued_at
            ).exists():
                raise InvalidToken
            if session.revoked_at:
                # A later token starts a new session, so that the user can sign in again. The ended one is
                # renamed and kept: its devices belong to it, and get no more pushes.
                Session.objects.filter(id=session.id, outside_id="").update(outside_id=f"ended {session.id}")
                session = _create_session(claims, now)
        if session.expires_at <= now and not session.revoked_at:
            session = _renew_session(session.id, session.user_id, now)
    except (IntegrityError, Http404) as error:  # the user was erased at this moment
        raise InvalidToken from error
    if session.revoked_at or not session.user.is_active or session.user.deleted_at:
        raise InvalidToken
    if session.last_used_at <= now - _RECORDED_EVERY:
        used = {"last_used_at": now, "expires_at": now + settings.REFRESH_TOKEN_LIFETIME}
        Session.objects.filter(id=session.id, revoked_at=None).update(**used)
    return session


def _find_session(claims: Claims) -> Session | None:
    return (
        Session.objects.select_related("user")
        .filter(identity__issuer=claims.issuer, identity__subject=claims.subject, outside_id=claims.session)
        .first()
    )


@transaction.atomic
def _create_session(claims: Claims, now: datetime) -> Session:
    """Raises InvalidToken, LimitReached and Http404."""
    _refuse_erased(claims)
    identity = _get_or_create_identity(claims, now)
    user = lock_user(identity.user_id)
    # Another request with a token of this session may have created it before this one got the lock.
    if existing := _find_session(claims):
        return existing
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


@transaction.atomic
def _renew_session(session_id: UUID, user_id: UUID, now: datetime) -> Session:
    """Makes an expired session count as a new one. Raises LimitReached and Http404."""
    user = lock_user(user_id)
    session = Session.objects.select_related("user").get(id=session_id)
    # Another request may have done it before this one got the lock.
    if session.expires_at <= now and not session.revoked_at:
        make_room(user=user, now=now)
        session.last_used_at, session.expires_at = now, now + settings.REFRESH_TOKEN_LIFETIME
        session.save(update_fields=["last_used_at", "expires_at"])
    return session


def _get_or_create_identity(claims: Claims, now: datetime) -> Identity:
    """Returns the identity of the claims; its first use creates it and its user."""
    matching = Identity.objects.select_related("user").filter(issuer=claims.issuer, subject=claims.subject)
    if identity := matching.first():
        return identity
    try:
        # Of two first uses at the same time the unique index refuses one; its savepoint leaves no user behind.
        with transaction.atomic():
            user = _create_user(claims, now)
            return Identity.objects.create(user=user, issuer=claims.issuer, subject=claims.subject)
    except IntegrityError as error:
        if "identities_are_unique" in str(error):
            return matching.get()
        raise


def _create_user(claims: Claims, now: datetime) -> User:
    """Creates a user with the e-mail that the issuer has verified, or without one if another account has it.

    The accounts are not joined: the other one may belong to another person.
    """
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


def forget_identities(*, user: User, now: datetime) -> None:
    """Replaces each subject by a keyed hash, so that an old token cannot create the erased user again."""
    for identity in user.identities.select_for_update(nowait=True):
        erased = _erased_subjects(identity.issuer, identity.subject)
        # A user with this subject may have been erased before. The unique index allows one such row.
        Identity.objects.filter(issuer=identity.issuer, subject__in=erased).delete()
        Identity.objects.filter(id=identity.id).update(subject=erased[0], created_at=now)


def _refuse_erased(claims: Claims) -> None:
    """Raises InvalidToken for a token that was issued before its user was erased."""
    erased = _erased_subjects(claims.issuer, claims.subject)
    gone = Identity.objects.filter(issuer=claims.issuer, subject__in=erased)
    if gone.filter(created_at__gte=claims.issued_at).exists():
        raise InvalidToken


def _erased_subjects(issuer: str, subject: str) -> list[str]:
    """Returns what replaces the subject, for each signing key, the present key's first."""
    salt, value = "users.actions.identities.erased", f"{issuer} {subject}"
    return ["erased " + salted_hmac(salt, value, secret=key).hexdigest() for key in signing_keys()]
