"""A new SECRET_KEY with the old one as a fallback: sessions, links and erasures stay valid."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from users.actions import Credentials, log_in
from users.actions.emails import verify_email
from users.actions.erasing import erase_account
from users.actions.identities import log_in_socially, verified_id_token
from users.actions.passwords import reset_password
from users.actions.sessions import InvalidRefreshToken, refresh_session
from users.links import EmailLink, InvalidLink, PasswordLink
from users.models import Identity
from users.tests.issuer import LocalIssuer
from users.tokens import InvalidToken, read_access_token

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "another horse battery"


def rotate(settings: Settings, key: str = "n" * 60, *, keep: bool = True) -> None:
    kept = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS] if keep else []
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = key, kept


def test_an_access_token_is_valid_until_its_key_is_no_fallback_any_more(
    ana: Credentials, settings: Settings
) -> None:
    rotate(settings)
    assert read_access_token(ana.access).user_id == ana.user.id
    rotate(settings, "m" * 60)
    assert read_access_token(ana.access).user_id == ana.user.id
    rotate(settings, keep=False)
    with pytest.raises(InvalidToken):
        read_access_token(ana.access)


def test_a_new_token_is_signed_with_the_new_key_alone(ana: Credentials, settings: Settings) -> None:
    rotate(settings)
    fresh = refresh_session(refresh=ana.refresh, now=timezone.now())
    settings.SECRET_KEY_FALLBACKS = []
    assert read_access_token(fresh.access).user_id == ana.user.id


def test_a_response_that_was_lost_before_the_rotation_can_be_repeated_after_it(
    ana: Credentials, settings: Settings
) -> None:
    now = timezone.now()
    lost = refresh_session(refresh=ana.refresh, now=now)
    rotate(settings)
    again = refresh_session(refresh=ana.refresh, access=ana.access, now=now + timedelta(seconds=5))
    assert again.refresh == lost.refresh
    assert refresh_session(refresh=again.refresh, now=now + timedelta(seconds=6)).user == ana.user


def test_without_the_fallback_a_repeat_of_a_refresh_token_ends_the_session(
    ana: Credentials, settings: Settings
) -> None:
    refresh_session(refresh=ana.refresh, now=timezone.now())
    rotate(settings, keep=False)
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=ana.refresh, access=ana.access, now=timezone.now())


def test_the_links_of_mails_stay_valid(ana: Credentials, ben: Credentials, settings: Settings) -> None:
    now = timezone.now()
    confirm, choose = EmailLink(now=now).token(ana.user), PasswordLink(now=now).token(ben.user)
    rotate(settings)
    verify_email(token=confirm, now=now)
    reset_password(token=choose, password=NEW_PASSWORD, now=now)
    assert log_in(email="ben@example.com", password=NEW_PASSWORD, now=now).user == ben.user
    gone = EmailLink(now=now).token(ben.user)
    rotate(settings, "m" * 60, keep=False)
    with pytest.raises(InvalidLink):
        verify_email(token=gone, now=now)


def sign_in(token: str) -> Credentials:
    claims = verified_id_token(provider="google", id_token=token)
    return log_in_socially(claims=claims, now=timezone.now())


def test_an_erased_user_is_not_created_again_by_an_old_token(google: LocalIssuer, settings: Settings) -> None:
    """And what stays of an outside login is found under the old key when the person is erased once more."""
    earlier = google.token(iat=timezone.now() - timedelta(minutes=5))
    user = sign_in(google.token()).user
    erase_account(user=user, now=timezone.now())
    rotate(settings)
    with pytest.raises(Exception, match="could not be confirmed"):
        sign_in(earlier)
    later = google.token(iat=timezone.now() + timedelta(seconds=5))
    again = sign_in(later).user
    erase_account(user=again, now=timezone.now())
    (left,) = Identity.objects.filter(issuer=google.url)
    assert left.subject.startswith("erased ")
