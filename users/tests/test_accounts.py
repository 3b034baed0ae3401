from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from medtrack.tests.support.builders import PASSWORD, person, session_of
from medtrack.tests.support.workers import wait_until_a_lock_is_waited_for
from users.actions import Credentials, log_in
from users.actions.accounts import EmailTaken, InvalidCredentials
from users.actions.passwords import change_password, reset_password
from users.actions.sessions import InvalidRefreshToken, refresh_session
from users.links import PasswordLink
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


def test_an_inactive_user_can_neither_log_in_nor_refresh(ana: Credentials) -> None:
    User.objects.update(is_active=False)
    with pytest.raises(InvalidCredentials):
        log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=ana.refresh, now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_logging_in_while_the_password_changes_opens_no_session() -> None:
    ana = person("Ana").user

    def sign_in() -> bool:
        try:
            log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
        except InvalidCredentials:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            change = {"password": PASSWORD, "new_password": "another horse battery"}
            change_password(by=ana, session_id=session_of(ana).id, now=timezone.now(), **change)
            signed_in = pool.submit(sign_in)
            wait_until_a_lock_is_waited_for()
        assert not signed_in.result()
    assert Session.objects.filter(revoked_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_changing_a_password_while_it_is_reset_is_refused() -> None:
    ana = person("Ana").user
    session, link = session_of(ana), PasswordLink(now=timezone.now()).token(ana)

    def change() -> bool:
        try:
            thiefs = {"password": PASSWORD, "new_password": "third horse battery"}
            change_password(by=ana, session_id=session.id, now=timezone.now(), **thiefs)
        except ValidationError:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            reset_password(token=link, password="another horse battery", now=timezone.now())
            changed = pool.submit(change)
            wait_until_a_lock_is_waited_for()
        assert not changed.result()
    log_in(email="ana@example.com", password="another horse battery", now=timezone.now())
