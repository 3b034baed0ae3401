from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from medtrack.tests.builders import PASSWORD, person, session_of
from users.actions import (
    Credentials,
    EmailTaken,
    InvalidCredentials,
    InvalidRefreshToken,
    log_in,
    log_out,
    refresh_session,
)
from users.models import Session, User


def test_an_email_is_taken_whatever_its_case(ana: Credentials) -> None:
    with pytest.raises(EmailTaken):
        person("ANA")
    assert User.objects.count() == 1


def test_signing_in_ignores_the_case_of_the_email_and_opens_a_session(ana: Credentials) -> None:
    credentials = log_in(email="ANA@example.com", password=PASSWORD, now=timezone.now(), device_name="Pixel")
    assert credentials.user == ana.user
    assert session_of(ana.user).device_name == "Pixel"


@pytest.mark.parametrize(
    ("email", "password"), [("ana@example.com", "wrong"), ("nobody@example.com", PASSWORD)]
)
def test_a_wrong_password_and_an_unknown_email_look_the_same(
    ana: Credentials, email: str, password: str
) -> None:
    with pytest.raises(InvalidCredentials) as error:
        log_in(email=email, password=password, now=timezone.now())
    assert str(error.value) == "The e-mail or the password is wrong."


def test_a_deactivated_person_can_neither_sign_in_nor_refresh(ana: Credentials) -> None:
    User.objects.update(is_active=False)
    with pytest.raises(InvalidCredentials):
        log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=ana.refresh, now=timezone.now())


def test_a_refresh_token_works_once_and_its_replay_ends_the_session(ana: Credentials) -> None:
    second = refresh_session(refresh=ana.refresh, now=timezone.now())
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=ana.refresh, now=timezone.now())
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=second.refresh, now=timezone.now())
    assert session_of(ana.user).revoked_at is not None


def test_a_refresh_token_expires(ana: Credentials) -> None:
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=ana.refresh, now=timezone.now() + timedelta(days=61))


@pytest.mark.parametrize("nonsense", ["", "é", "AAAA", "a" * 64, "." * 64])
def test_a_malformed_refresh_token_is_refused(db: None, nonsense: str) -> None:
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=nonsense, now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_of_many_simultaneous_uses_of_one_refresh_token_one_wins() -> None:
    person("Ana")
    start = Barrier(8)

    def use(refresh: str) -> bool:
        connection.ensure_connection()
        start.wait()
        try:
            refresh_session(refresh=refresh, now=timezone.now())
        except InvalidRefreshToken:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(12):
            refresh = log_in(email="ana@example.com", password=PASSWORD, now=timezone.now()).refresh
            assert sum(pool.map(use, [refresh] * 8)) == 1


def test_signing_out_ends_only_this_session(ana: Credentials) -> None:
    other = log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    log_out(session=session_of(ana.user), now=timezone.now())
    assert Session.objects.alive(now=timezone.now()).count() == 1
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=other.refresh, now=timezone.now())
    assert refresh_session(refresh=ana.refresh, now=timezone.now()).user == ana.user
