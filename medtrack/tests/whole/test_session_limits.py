"""How many sessions an account may have, and which one ends."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings
from rest_framework.exceptions import NotFound

from medtrack.http.person_limits import LimitReached
from medtrack.tests.support.api import Client
from medtrack.tests.support.at_limits import AT_ONCE, HOUR, LONG_AGO, outcomes, phone, sign_in, unseen
from medtrack.tests.support.builders import (
    PASSWORD,
    person,
    session_of,
)
from notifications.actions import register_device
from users.actions import Credentials, log_in, log_out
from users.actions.identities import outside_session, verified_outside_token
from users.models import Session
from users.tests.issuer import LocalIssuer, accept_tokens_of


@pytest.fixture
def outside(issuer: LocalIssuer, settings: Settings) -> LocalIssuer:
    return accept_tokens_of(issuer, settings)


@pytest.mark.django_db(transaction=True)
def test_of_a_hundred_sessions_at_once_no_more_than_the_limit_live(limits: Callable[..., None]) -> None:
    ana = person("Ana").user
    limits(sessions=7)
    assert outcomes(lambda number: sign_in(ana, str(number))) == {"done": AT_ONCE}
    assert Session.objects.visible_to(ana, now=timezone.now()).count() == 7


@pytest.mark.django_db(transaction=True)
def test_outside_tokens_at_once_open_no_more_sessions_than_the_limit(
    outside: LocalIssuer, limits: Callable[..., None]
) -> None:
    tokens = [outside.token(session_id=f"session-{number}") for number in range(20)]
    outside_session(claims=verified_outside_token(tokens[0]), now=timezone.now())
    limits(sessions=7)
    outcomes(
        lambda number: outside_session(claims=verified_outside_token(tokens[number]), now=timezone.now()),
        times=20,
    )
    assert Session.objects.filter(revoked_at=None).count() == 7


def test_an_outside_token_for_which_there_is_no_room_is_a_conflict(
    outside: LocalIssuer, limits: Callable[..., None], db: None
) -> None:
    limits(sessions=1)
    first = outside_session(claims=verified_outside_token(outside.token(session_id="1")), now=timezone.now())
    phone(first.user)
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {outside.token(session_id='2')}")
    refused = client.get("/api/v1/me")
    assert (refused.status_code, refused.json()["type"]) == (409, "LimitReached")
    log_out(session_id=first.id, now=timezone.now())
    assert client.get("/api/v1/me").status_code == 200


def test_one_session_too_many_ends_the_longest_unused_one_without_a_device(
    ana: Credentials, limits: Callable[..., None]
) -> None:
    with_phone = session_of(ana.user)
    phone(ana.user)
    quiet = sign_in(ana.user, "quiet")
    unseen(phone(ana.user), LONG_AGO)
    unused, used = sign_in(ana.user, "unused"), sign_in(ana.user, "used")
    Session.objects.filter(id=unused.id).update(last_used_at=timezone.now() - HOUR)
    Session.objects.filter(id__in=[with_phone.id, quiet.id]).update(last_used_at=timezone.now() - LONG_AGO)
    limits(sessions=4)
    for gone in (unused, used):
        sign_in(ana.user)
        gone.refresh_from_db()
        assert gone.revoked_at is not None
        phone(ana.user)
    sign_in(ana.user)
    quiet.refresh_from_db()
    assert quiet.revoked_at is not None, "its device was not reached for a month"
    phone(ana.user)
    with pytest.raises(LimitReached), transaction.atomic():
        sign_in(ana.user)
    with_phone.refresh_from_db()
    assert with_phone.revoked_at is None


def test_who_knows_the_password_chooses_the_session_that_ends(
    as_nobody: Client, ana: Credentials, cleo: Credentials, limits: Callable[..., None]
) -> None:
    phone(ana.user)
    Session.objects.filter(user=ana.user).update(device_name="Pixel")
    limits(sessions=1)
    login = {"email": "ana@example.com", "password": PASSWORD, "device_name": "New"}
    refused = as_nobody.post("/api/v1/auth/login", login, format="json")
    mine = session_of(ana.user)
    assert (refused.status_code, refused.json()["type"], refused.json()["limit"]) == (
        409,
        "LimitReached",
        "sessions",
    )
    (listed,) = refused.json()["sessions"]
    assert (listed["id"], listed["device_name"], set(listed)) == (
        str(mine.id),
        "Pixel",
        {"id", "device_name", "last_used_at"},
    )
    wrong = as_nobody.post("/api/v1/auth/login", login | {"password": "x"}, format="json")
    assert (wrong.status_code, "sessions" in wrong.json()) == (401, False)
    foreign = login | {"end_session": str(session_of(cleo.user).id)}
    assert as_nobody.post("/api/v1/auth/login", foreign, format="json").status_code == 404
    assert session_of(cleo.user).revoked_at is None
    chosen = login | {"end_session": listed["id"]}
    assert as_nobody.post("/api/v1/auth/login", chosen, format="json").status_code == 200
    mine.refresh_from_db()
    assert mine.revoked_at is not None
    assert as_nobody.post("/api/v1/auth/login", chosen, format="json").status_code == 404


def test_signing_in_socially_has_the_same_limit_and_the_same_way_out(
    as_nobody: Client, issuer: LocalIssuer, limits: Callable[..., None], db: None
) -> None:
    limits(sessions=1)

    def log_in(**fields: Any) -> Any:
        body = {"provider": "google", "id_token": issuer.token(), **fields}
        return as_nobody.post("/api/v1/auth/social", body, format="json")

    assert log_in().status_code == 200
    session = Session.objects.get()
    phone(session.user)
    refused = log_in()
    assert (refused.status_code, refused.json()["type"]) == (409, "LimitReached")
    assert log_in(end_session=str(uuid4())).status_code == 404
    assert log_in(end_session=refused.json()["sessions"][0]["id"]).status_code == 200
    session.refresh_from_db()
    assert session.revoked_at is not None


def test_a_session_that_is_over_is_not_ended_again(ana: Credentials) -> None:
    over = session_of(ana.user)
    log_out(session_id=over.id, now=timezone.now())
    with pytest.raises(NotFound), transaction.atomic():
        sign_in(ana.user, end_session=over.id)


@pytest.mark.django_db
def test_end_session_lets_its_owner_in_although_there_are_more_than_the_limit(
    limits: Callable[..., None],
) -> None:
    ana = person("Ana").user
    for number in range(5):
        session = sign_in(ana, str(number))
        register_device(by=ana, session=session, token=f"t{number}", platform="ios", now=timezone.now())
    limits(sessions=3)
    oldest = Session.objects.visible_to(ana, now=timezone.now()).order_by("last_used_at").first()
    assert oldest is not None
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now(), end_session=oldest.id)
    assert not Session.objects.visible_to(ana, now=timezone.now()).filter(id=oldest.id).exists()


@pytest.mark.django_db
def test_an_expired_outside_session_counts_as_a_new_one(
    outside: LocalIssuer, limits: Callable[..., None]
) -> None:
    limits(sessions=2)
    now = timezone.now()

    def token(name: str) -> str:
        return outside.token(aud="our-app", session_id=name, sub="kim")

    old = outside_session(claims=verified_outside_token(token("old")), now=now)
    long_ago = {"created_at": now - timedelta(days=90), "last_used_at": now - timedelta(days=61)}
    Session.objects.filter(id=old.id).update(expires_at=now - timedelta(days=1), **long_ago)
    for name in ("one", "two", "old"):
        outside_session(claims=verified_outside_token(token(name)), now=timezone.now())
    assert Session.objects.visible_to(old.user, now=timezone.now()).count() == 2
