"""One stored form of each address, so that no two accounts have similar addresses."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module
from threading import Barrier
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD, confirmed, person
from users.actions import Credentials, log_in, sign_up
from users.actions.accounts import EmailTaken
from users.actions.emails import verify_email
from users.actions.sessions import refresh_session
from users.email_addresses import canonical_email, comparable_email
from users.links import EmailLink, InvalidLink
from users.models import User
from users.querysets import CONFIRM_EMAIL_WITHIN, folded
from users.tests.issuer import LocalIssuer

ZERO_WIDTH, BIDI, KELVIN, DOTLESS, CYRILLIC_A = "\u200b", "\u202e", "\u212a", "\u0131", "\u0430"


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Ana@Example.COM", "Ana@example.com"),
        ("ana@ＥＸＡＭＰＬＥ.com", "ana@example.com"),
        ("ana@example。com", "ana@example.com"),
        ("ana@bücher.de", "ana@xn--bcher-kva.de"),
        ("ana@BÜCHER.de", "ana@xn--bcher-kva.de"),
        ("ana@bu\u0308cher.de", "ana@xn--bcher-kva.de"),
        ("ana@faß.de", "ana@xn--fa-hia.de"),
        ("ana@한국.kr", "ana@xn--3e0b707e.kr"),
        ("ana+pills@example.com", "ana+pills@example.com"),
    ],
)
def test_an_address_is_stored_with_its_domain_as_dns_has_it(written: str, stored: str) -> None:
    assert canonical_email(written) == stored


REFUSED = [
    f"an{ZERO_WIDTH}a@example.com",
    f"ana@exam{ZERO_WIDTH}ple.com",
    f"{BIDI}ana@example.com",
    f"ana@example.com{BIDI}",
    "a\u00ada@example.com",
    "a\tna@example.com",
    "a\x01na@example.com",
    '"\x01"@example.com',
    "ana\u00a0@example.com",
    f"mar{KELVIN}@example.com",
    f"l{DOTLESS}sa@example.com",
    f"{CYRILLIC_A}na@example.com",
    "ａna@example.com",
    "ana＠example.com",
    "ana@a℀b.com",
    "ana",
    "@example.com",
    f"ana@{'ü' * 70}.de",
    f"ana@{'a.' * 126}com",
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_may_pass_for_another_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        canonical_email(address)
    assert comparable_email(address) == address


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_is_stored_is_ascii_and_stays_as_it_is(local: str, domain: str) -> None:
    try:
        stored = canonical_email(f"{local}@{domain}.com")
    except ValidationError:
        return
    assert stored.isascii()
    assert stored.isprintable()
    assert canonical_email(stored) == stored


@pytest.mark.django_db
@pytest.mark.parametrize("address", [address for address in REFUSED if "@" in address.strip("@")])
def test_signing_up_with_such_an_address_is_refused(address: str, as_nobody: Client) -> None:
    body = {"email": address, "password": PASSWORD}
    answer = as_nobody.post("/api/v1/auth/signup", body, format="json")
    # DRF removes what is white space around it.
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "email"
    assert not User.objects.exists()


@pytest.mark.django_db
def test_creating_a_superuser_with_such_an_address_is_refused() -> None:
    with pytest.raises(CommandError, match="Before the @"):
        call_command("createsuperuser", email=f"mar{KELVIN}@example.com", interactive=False)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_two_forms_of_one_address_are_one_account_with_one_counter(as_nobody: Client) -> None:
    body = {"email": "ana@bücher.de", "password": PASSWORD}
    assert as_nobody.post("/api/v1/auth/signup", body, format="json").status_code == 201
    for form in ("ana@xn--bcher-kva.de", "ANA@BÜCHER.DE", "ana@ｂücher.de"):
        login = as_nobody.post("/api/v1/auth/login", body | {"email": form}, format="json")
        assert login.status_code == 200, form
        assert folded(form) == folded("ana@bücher.de")
        again = as_nobody.post("/api/v1/auth/signup", body | {"email": form}, format="json")
        assert again.status_code == 409, form


@pytest.mark.django_db
@pytest.mark.parametrize("address", [f"mar{KELVIN}@example.com", f"l{DOTLESS}sa@example.com"])
def test_an_older_account_is_still_found_by_its_address(address: str) -> None:
    user = person("Ana").user
    User.objects.filter(pk=user.pk).update(email=address)
    assert log_in(email=address, password=PASSWORD, now=timezone.now()).user == user
    assert User.objects.get_by_natural_key(address) == user


@pytest.mark.django_db
def test_the_migration_stores_domains_in_ascii_and_leaves_what_is_taken() -> None:
    ana, ben, cleo = (person(name).user for name in ("Ana", "Ben", "Cleo"))
    for user, address in ((ana, "Ana@bücher.de"), (ben, "ana@xn--bcher-kva.de"), (cleo, "cleo@한국.kr")):
        User.objects.filter(pk=user.pk).update(email=address)
    migration: Any = import_module("users.migrations.0002_canonical_emails")
    migration.store_domains_in_ascii(apps, None)
    stored = dict(User.objects.values_list("name", "email"))
    assert stored == {"Ana": "Ana@bücher.de", "Ben": "ana@xn--bcher-kva.de", "Cleo": "cleo@xn--3e0b707e.kr"}
    assert log_in(email="ana@bücher.de", password=PASSWORD, now=timezone.now()).user in (ana, ben)


@pytest.mark.django_db
@pytest.mark.parametrize("email", [f"an{ZERO_WIDTH}a@example.com", f"{CYRILLIC_A}na@example.com"])
def test_an_issuers_address_that_may_pass_for_another_is_not_taken(email: str, google: LocalIssuer) -> None:
    token = google.token(aud="our-app", email=email, email_verified=True)
    answer = Client().post("/api/v1/auth/social", {"provider": "google", "id_token": token}, format="json")
    assert answer.status_code == 200
    assert answer.json()["user"]["email"] is None


# An address that was not confirmed


def old(user: User, *, age: timedelta = CONFIRM_EMAIL_WITHIN) -> User:
    User.objects.filter(pk=user.pk).update(created_at=timezone.now() - age)
    return user


def sign_up_as_ana() -> Credentials:
    return sign_up(email="ANA@example.com", password=PASSWORD, now=timezone.now())


@pytest.mark.django_db
def test_an_address_that_was_not_confirmed_for_a_week_can_be_used_again(ana: Credentials) -> None:
    link = EmailLink(now=timezone.now()).token(ana.user)
    old(ana.user)
    claimed = sign_up_as_ana()
    assert claimed.user.email == "ANA@example.com"
    ana.user.refresh_from_db()
    assert (ana.user.email, ana.user.is_active) == (None, True)
    assert refresh_session(refresh=ana.refresh, now=timezone.now()).user == ana.user
    with pytest.raises(InvalidLink):
        verify_email(token=link, now=timezone.now())


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["young", "confirmed", "staff", "superuser"])
def test_every_other_account_keeps_its_address(kind: str, ana: Credentials) -> None:
    old(
        ana.user, age=CONFIRM_EMAIL_WITHIN - timedelta(minutes=1) if kind == "young" else CONFIRM_EMAIL_WITHIN
    )
    if kind == "confirmed":
        confirmed(ana.user)
    User.objects.filter(pk=ana.user.pk).update(is_staff=kind == "staff", is_superuser=kind == "superuser")
    with pytest.raises(EmailTaken):
        sign_up_as_ana()
    ana.user.refresh_from_db()
    assert ana.user.email == "ana@example.com"


@pytest.mark.django_db
def test_an_issuer_that_verified_the_address_gets_it_too(ana: Credentials, google: LocalIssuer) -> None:
    old(ana.user)
    token = google.token(aud="our-app", email="ana@example.com", email_verified=True)
    answer = Client().post("/api/v1/auth/social", {"provider": "google", "id_token": token}, format="json")
    assert answer.json()["user"]["email"] == "ana@example.com"
    ana.user.refresh_from_db()
    assert ana.user.email is None


@pytest.mark.django_db(transaction=True)
def test_of_two_concurrent_sign_ups_with_an_unconfirmed_address_one_gets_it(ana: Credentials) -> None:
    old(ana.user)
    start = Barrier(2)

    def claim(name: str) -> str:
        try:
            connection.ensure_connection()
            start.wait()
            sign_up(email="ana@example.com", password=PASSWORD, name=name, now=timezone.now())
        except EmailTaken:
            return ""
        else:
            return name
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        (winner,) = filter(None, pool.map(claim, ["first", "second"]))
    assert log_in(email="ana@example.com", password=PASSWORD, now=timezone.now()).user.name == winner
