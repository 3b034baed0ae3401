from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from medtrack.tests.support.builders import PASSWORD, person, session_of
from users.actions import Credentials, log_in, log_out
from users.actions.sessions import InvalidRefreshToken, end_sessions, refresh_session
from users.models import Session
from users.tokens import access_token

SECOND = timedelta(seconds=1)


def test_a_refresh_token_works_once_and_its_replay_ends_the_session(ana: Credentials) -> None:
    second = refresh_session(refresh=ana.refresh, now=timezone.now())
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=ana.refresh, now=timezone.now())
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=second.refresh, now=timezone.now())
    assert session_of(ana.user).revoked_at is not None


def test_an_answer_that_was_lost_is_given_again_for_30_seconds_and_changes_nothing(ana: Credentials) -> None:
    now = timezone.now()
    first = refresh_session(refresh=ana.refresh, now=now)
    before = Session.objects.values().get()
    for seconds in (0, 1, 30):
        repeated = refresh_session(refresh=ana.refresh, access=ana.access, now=now + seconds * SECOND)
        assert repeated.refresh == first.refresh
    assert Session.objects.values().get() == before
    assert refresh_session(refresh=first.refresh, now=now + 31 * SECOND).user == ana.user


def test_the_access_token_that_proves_it_may_have_expired(ana: Credentials) -> None:
    now = timezone.now()
    session = session_of(ana.user)
    old = access_token(user_id=ana.user.id, session_id=session.id, now=now - timedelta(days=3))
    first = refresh_session(refresh=ana.refresh, now=now)
    assert refresh_session(refresh=ana.refresh, access=old, now=now).refresh == first.refresh


def test_after_30_seconds_a_repeat_is_a_replay(ana: Credentials) -> None:
    now = timezone.now()
    refresh_session(refresh=ana.refresh, now=now)
    _is_replay(ana.refresh, ana.access, now + 31 * SECOND)


def test_once_the_successor_was_used_a_repeat_is_a_replay(ana: Credentials) -> None:
    now = timezone.now()
    second = refresh_session(refresh=ana.refresh, now=now)
    third = refresh_session(refresh=second.refresh, now=now)
    _is_replay(ana.refresh, ana.access, now)
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=third.refresh, now=now)


def test_the_proof_must_be_of_this_very_session_and_of_our_making(ana: Credentials, ben: Credentials) -> None:
    now = timezone.now()
    other = log_in(email="ana@example.com", password=PASSWORD, now=now)
    forged = f"{ana.access.rpartition('.')[0]}.{ben.access.rpartition('.')[2]}"
    for proof in (other.access, ben.access, forged, ana.refresh, "nonsense", ""):
        mine = log_in(email="ana@example.com", password=PASSWORD, now=now)
        refresh_session(refresh=mine.refresh, now=now)
        _is_replay(mine.refresh, proof, now)


def _is_replay(refresh: str, access: str, now: datetime) -> None:
    alive = Session.objects.filter(revoked_at=None).count()
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=refresh, access=access, now=now)
    assert Session.objects.filter(revoked_at=None).count() == alive - 1


def test_a_refresh_token_expires(ana: Credentials) -> None:
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=ana.refresh, now=timezone.now() + timedelta(days=61))


@pytest.mark.parametrize("nonsense", ["", "é", "AAAA", "a" * 64, "." * 64])
def test_a_malformed_refresh_token_is_refused(db: None, nonsense: str) -> None:
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=nonsense, now=timezone.now())


def _use_100_times(refresh: str, access: str) -> list[str]:
    """The successors that 100 simultaneous uses got, each on a thread and a connection of its own."""
    start = Barrier(100)

    def use(_number: int) -> str:
        try:
            connection.ensure_connection()
            start.wait()
            return refresh_session(refresh=refresh, access=access, now=timezone.now()).refresh
        except InvalidRefreshToken:
            return ""
        finally:
            connection.close()

    with ThreadPoolExecutor(100) as pool:
        return list(filter(None, pool.map(use, range(100))))


@pytest.mark.django_db(transaction=True)
def test_of_100_simultaneous_uses_of_one_refresh_token_one_wins() -> None:
    ana = person("Ana")
    assert len(_use_100_times(ana.refresh, "")) == 1
    assert session_of(ana.user).revoked_at is not None


@pytest.mark.django_db(transaction=True)
def test_100_simultaneous_uses_by_the_session_itself_get_one_answer() -> None:
    ana = person("Ana")
    successors = _use_100_times(ana.refresh, ana.access)
    assert (len(successors), len(set(successors))) == (100, 1)
    assert refresh_session(refresh=successors[0], now=timezone.now()).user == ana.user


def test_signing_out_ends_only_this_session(ana: Credentials) -> None:
    other = log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    log_out(session_id=session_of(ana.user).id, now=timezone.now())
    assert Session.objects.filter(revoked_at=None).count() == 1
    with pytest.raises(InvalidRefreshToken):
        refresh_session(refresh=other.refresh, now=timezone.now())
    assert refresh_session(refresh=ana.refresh, now=timezone.now()).user == ana.user


def test_ending_all_sessions_ends_nobody_elses(ana: Credentials, ben: Credentials) -> None:
    log_in(email="ana@example.com", password=PASSWORD, now=timezone.now())
    end_sessions(user_id=ana.user.id, now=timezone.now())
    assert [session.user for session in Session.objects.filter(revoked_at=None)] == [ben.user]
