from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import person
from users.actions import Credentials, identities, log_out
from users.actions.erasing import erase_account
from users.actions.identities import InvalidIdToken, outside_session, verified_outside_token
from users.models import Identity, Session, User
from users.outside_tokens import Claims, IssuerUnavailable
from users.tests.issuer import LocalIssuer
from users.tokens import InvalidToken

HOUR = timedelta(hours=1)


def log_in_socially(*, now: datetime, **id_token: Any) -> Credentials:
    return identities.log_in_socially(claims=identities.verified_id_token(**id_token), now=now)


def by_google(google: LocalIssuer, **claims: Any) -> User:
    return log_in_socially(provider="google", id_token=google.token(**claims), now=timezone.now()).user


def by_token(outside: LocalIssuer, *, now: datetime | None = None, **claims: Any) -> Session:
    claims = {"session_id": "session-1", **claims}
    return outside_session(claims=verified_outside_token(outside.token(**claims)), now=now or timezone.now())


def at_once(times: int, use: Any) -> list[Any]:
    """What so many threads got, each with a connection of its own."""
    start = Barrier(times)

    def run(_number: int) -> Any:
        try:
            connection.ensure_connection()
            start.wait()
            return use()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def test_the_first_use_creates_a_user_and_the_next_finds_them(db: None, google: LocalIssuer) -> None:
    user = by_google(google, name="Dora", email="dora@Example.com", email_verified=True)
    assert (user.name, user.email, user.provider) == ("Dora", "dora@example.com", "google")
    assert user.email_verified_at is not None
    assert not user.has_usable_password()
    assert by_google(google, email="other@example.com", email_verified=True) == user
    assert by_google(google, sub="person-2") != user
    assert list(User.objects.values_list("email", flat=True).order_by("created_at")) == [
        "dora@example.com",
        None,
    ]


def test_an_email_of_another_account_does_not_lead_to_that_account(
    ana: Credentials, google: LocalIssuer
) -> None:
    user = by_google(google, email="ANA@example.com", email_verified=True)
    assert (user == ana.user, user.email, user.email_verified_at) == (False, None, None)
    assert by_google(google, sub="person-2", email="free@example.com").email is None


def test_the_same_subject_of_another_issuer_is_another_user(
    db: None, google: LocalIssuer, outside: LocalIssuer
) -> None:
    Identity.objects.create(user=person("Ana").user, issuer="https://appleid.apple.com", subject="person-1")
    assert by_google(google).email is None
    assert by_token(outside).user == by_google(google)


def test_a_nonce_that_is_given_must_be_the_tokens(db: None, google: LocalIssuer) -> None:
    token = google.token(nonce="n-1")
    for nonce in ("n-2", "é"):
        with pytest.raises(InvalidIdToken):
            log_in_socially(provider="google", id_token=token, nonce=nonce, now=timezone.now())
    with pytest.raises(InvalidIdToken):
        log_in_socially(provider="google", id_token=google.token(), nonce="n-1", now=timezone.now())
    log_in_socially(provider="google", id_token=token, nonce="n-1", now=timezone.now())


def test_a_provider_that_is_not_set_up_is_refused(db: None) -> None:
    with pytest.raises(ValidationError, match="not set up"):
        log_in_socially(provider="kakao", id_token="a.b.c", now=timezone.now())


def test_an_inactive_user_is_refused_by_every_issuer(
    db: None, google: LocalIssuer, outside: LocalIssuer
) -> None:
    by_google(google)
    by_token(outside)
    User.objects.update(deleted_at=timezone.now())
    with pytest.raises(InvalidIdToken):
        by_google(google)
    for session_id in ("session-1", "session-2"):
        with pytest.raises(InvalidToken):
            by_token(outside, session_id=session_id)


def test_an_unreachable_issuer_changes_nothing(db: None, google: LocalIssuer) -> None:
    token = google.token()
    google.stop()
    with pytest.raises(IssuerUnavailable):
        log_in_socially(provider="google", id_token=token, now=timezone.now())
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_concurrent_first_uses_create_one_user(google: LocalIssuer) -> None:
    for email in ({}, {"email": "dora@example.com", "email_verified": True}):
        subject = uuid4().hex
        users = at_once(10, lambda subject=subject, email=email: by_google(google, sub=subject, **email))
        assert len(set(users)) == 1
    assert User.objects.count() == Identity.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_concurrent_first_uses_of_an_outside_session_create_one_session(outside: LocalIssuer) -> None:
    sessions = at_once(10, lambda: by_token(outside))
    assert len(set(sessions)) == 1
    assert (User.objects.count(), Session.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_an_issuer_is_asked_outside_of_any_transaction(google: LocalIssuer, outside: LocalIssuer) -> None:
    in_transaction: list[int] = []

    def look() -> None:
        parameters = connection.get_connection_params()
        names = ("host", "port", "user", "password", "dbname")
        with psycopg.connect(**{name: parameters[name] for name in names if name in parameters}) as own:
            row = own.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            ).fetchone()
            in_transaction.append(row[0] if row else -1)

    google.when_asked = look
    by_google(google)
    by_token(outside)
    assert in_transaction
    assert set(in_transaction) == {0}


def test_an_outside_token_opens_one_session_per_session_of_the_issuer(db: None, outside: LocalIssuer) -> None:
    first = by_token(outside)
    assert (first.user.provider, first.device_name, first.outside_id) == ("supabase", "supabase", "session-1")
    assert by_token(outside, exp=timezone.now() + 9 * HOUR) == first
    second = by_token(outside, session_id="session-2")
    assert (second == first, second.user) == (False, first.user)


def test_ending_an_outside_session_stops_its_tokens_and_no_others(db: None, outside: LocalIssuer) -> None:
    log_out(session_id=by_token(outside).id, now=timezone.now())
    with pytest.raises(InvalidToken):
        by_token(outside, iat=timezone.now() + timedelta(seconds=9))
    assert by_token(outside, session_id="session-2").revoked_at is None


def test_without_a_session_of_the_issuer_a_token_issued_before_an_end_is_refused(
    db: None, outside: LocalIssuer
) -> None:
    now = datetime.now(UTC)
    first = by_token(outside, session_id=None, iat=now - 3 * HOUR)
    assert (first.outside_id, by_token(outside, session_id=None)) == ("", first)
    log_out(session_id=first.id, now=now - HOUR)
    with pytest.raises(InvalidToken):
        by_token(outside, session_id=None, iat=now - 2 * HOUR)
    later = by_token(outside, session_id=None, iat=now - timedelta(minutes=30))
    assert later != first
    with pytest.raises(InvalidToken):
        by_token(outside, session_id=None, iat=now - 2 * HOUR)
    assert by_token(outside, session_id=None) == later
    assert list(Session.objects.filter(revoked_at=None)) == [later]


def test_an_outside_session_lasts_while_it_is_used(db: None, outside: LocalIssuer) -> None:
    now = timezone.now()
    session = by_token(outside, now=now)
    for hours, noted in ((0.5, now), (2, now + 2 * HOUR), (24 * 365, now + 24 * 365 * HOUR)):
        by_token(outside, now=now + hours * HOUR)
        session.refresh_from_db()
        assert session.last_used_at == noted
        assert session.expires_at > now + hours * HOUR


@pytest.mark.parametrize(
    "claims", [{"iss": "https://unknown.example.org"}, {"iss": "medtrack"}, {"iss": None}]
)
def test_tokens_of_unknown_issuers_are_refused_without_a_request(
    db: None, outside: LocalIssuer, claims: dict[str, Any]
) -> None:
    with pytest.raises(InvalidToken):
        by_token(outside, **claims)
    assert outside.asked == 0
    assert not User.objects.exists()


def test_a_known_outside_session_costs_one_query(
    db: None, outside: LocalIssuer, django_assert_num_queries: Any
) -> None:
    token = outside.token(session_id="session-1")
    outside_session(claims=verified_outside_token(token), now=timezone.now())
    with django_assert_num_queries(1):
        outside_session(claims=verified_outside_token(token), now=timezone.now())


def test_a_token_from_before_the_erasure_does_not_create_the_user_again(
    db: None, google: LocalIssuer, outside: LocalIssuer
) -> None:
    who: dict[str, Any] = {"name": "Dora", "email": "dora@example.com", "email_verified": True}
    old, client = outside.token(session_id="1", **who), Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {old}")
    assert client.delete("/api/v1/me", {}, format="json").status_code == 204
    assert client.get("/api/v1/me").status_code == 401
    with pytest.raises(InvalidIdToken):
        log_in_socially(provider="google", id_token=old, now=timezone.now())
    assert not User.objects.filter(deleted_at=None).exists()
    later = outside.token(session_id="2", iat=timezone.now() + timedelta(seconds=1), nbf=None, **who)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {later}")
    assert client.get("/api/v1/me").status_code == 200


def test_a_user_who_is_erased_while_signing_in_gets_no_session(
    db: None, google: LocalIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_or_create = identities._get_or_create_identity

    def then_erased(claims: Claims, now: datetime) -> Identity:
        identity = get_or_create(claims, now)
        erase_account(user=identity.user, now=now)
        return identity

    monkeypatch.setattr(identities, "_get_or_create_identity", then_erased)
    with pytest.raises(InvalidIdToken):
        log_in_socially(provider="google", id_token=google.token(), now=timezone.now())
    assert not Session.objects.exists()
