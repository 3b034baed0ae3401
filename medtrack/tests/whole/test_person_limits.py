"""What one person can have and do: the limits, also among a hundred requests at once, and what has none."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, time, timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone, translation
from pytest_django import Settings
from rest_framework.exceptions import NotFound

from dosing.actions.clones import clone_medication
from dosing.actions.schedules import delete_medication, pause_medication, update_profile
from dosing.models import Schedule
from medications.actions import create_medication, update_medication
from medications.models import Medication
from medtrack.http.limits import Limit, PersonLimits
from medtrack.http.openapi import limits_table
from medtrack.http.person_limits import BEYOND, REACHED_WITHIN, LimitReached
from medtrack.tests.support.api import SCHEMA, Client
from medtrack.tests.support.builders import (
    PASSWORD,
    device_of,
    medication_of,
    person,
    schedule_at,
    session_of,
)
from medtrack.tests.support.workers import closing
from notifications import actions as notifications_actions
from notifications.actions import TooManyTests, register_device, revoke_device, send_test_push
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.reached_sessions import last_reached
from users.actions import Credentials, log_in, log_out, take_turn
from users.actions.identities import outside_session
from users.actions.sessions import open_session
from users.issuers import Issuer
from users.models import RateCounter, Session, User
from users.rates import TooManyEdits
from users.tests.issuer import LocalIssuer

AT_ONCE = 100
HOUR = timedelta(hours=1)
LONG_AGO = REACHED_WITHIN + timedelta(days=1)


@pytest.fixture
def limits(settings: Settings) -> Callable[..., None]:
    def change(**changes: Any) -> None:
        settings.LIMITS = replace(settings.LIMITS, **changes)

    return change


@pytest.fixture
def outside(issuer: LocalIssuer, settings: Settings) -> LocalIssuer:
    """The issuer, whose own access tokens are accepted; it names its sessions."""
    local = Issuer(
        "supabase", issuer.url, issuer.jwks_url, audiences=("our-app",), session_claim="session_id"
    )
    settings.OUTSIDE_ISSUERS = {issuer.url: local}
    return issuer


def outcomes(job: Callable[[int], object], times: int = AT_ONCE) -> Counter[str]:
    """How often the job succeeded, and with which errors it failed, in so many threads with a connection each."""
    start = Barrier(times)

    def run(number: int) -> str:
        connection.ensure_connection()
        start.wait()
        try:
            job(number)
        except (LimitReached, TooManyEdits, TooManyTests) as error:
            return type(error).__name__
        return "done"

    with ThreadPoolExecutor(times) as pool:
        return Counter(pool.map(closing(run), range(times)))


def sign_in(user: User, name: str = "", **fields: Any) -> Session:
    with transaction.atomic():
        now = fields.pop("now", timezone.now())
        open_session(user=take_turn(user.id), device_name=name, now=now, **fields)
    return session_of(user)


def phone(user: User, token: str = "", **fields: Any) -> DeviceToken:
    return device_of(user, token or f"token-{uuid4()}", **fields)


def unseen(device: DeviceToken, since: timedelta) -> None:
    at = timezone.now() - since
    DeviceToken.objects.filter(id=device.id).update(last_seen_at=at, owned_since=at)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("limit", ["medications", "schedules", "edits", "zone_changes", "test_pushes"])
def test_a_hundred_at_once_do_not_pass(limits: Callable[..., None], limit: str) -> None:
    ana = person("Ana").user
    medication = medication_of(ana)
    devices = [phone(ana) for _ in range(3)]
    zones = ["Asia/Seoul", "Asia/Tokyo"]
    jobs: dict[str, Callable[[int], object]] = {
        "medications": lambda number: create_medication(by=ana, name=str(number)),
        "schedules": lambda number: schedule_at(medication, time(number % 24), now=timezone.now()),
        "edits": lambda number: update_medication(medication=medication, changes={"memo": str(number)}),
        "zone_changes": lambda number: update_profile(
            user=ana, changes={"timezone": zones[number % 2]}, now=timezone.now()
        ),
        "test_pushes": lambda number: send_test_push(device=devices[number % 3], now=timezone.now()),
    }
    errors = {"edits": "TooManyEdits", "zone_changes": "TooManyEdits", "test_pushes": "TooManyTests"}
    RateCounter.objects.all().delete()
    most = {"medications": 8, "schedules": 7}.get(limit, Limit(7, 3600))  # a medication is there already
    limits(**{limit: most})
    done = outcomes(jobs[limit])
    if limit == "zone_changes":  # where the zone is that already, nothing changes and nothing counts
        assert RateCounter.objects.get(name=limit).times == 7
        assert done["TooManyEdits"] > 0
    else:
        assert done == {"done": 7, errors.get(limit, "LimitReached"): AT_ONCE - 7}


@pytest.mark.django_db(transaction=True)
def test_of_a_hundred_devices_at_once_no_more_than_the_limit_live(limits: Callable[..., None]) -> None:
    ana = person("Ana").user
    session = session_of(ana)
    limits(devices=7)

    def register(number: int) -> None:
        register_device(by=ana, session=session, token=f"t{number}", platform="ios", now=timezone.now())

    assert outcomes(register) == {"done": 7, "LimitReached": AT_ONCE - 7}
    assert DeviceToken.objects.filter(revoked_at=None).count() == 7


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
    outside_session(tokens[0], now=timezone.now())
    limits(sessions=7)
    outcomes(lambda number: outside_session(tokens[number], now=timezone.now()), times=20)
    assert Session.objects.filter(revoked_at=None).count() == 7


def test_an_outside_token_for_which_there_is_no_room_is_a_conflict(
    outside: LocalIssuer, limits: Callable[..., None], db: None
) -> None:
    limits(sessions=1)
    first = outside_session(outside.token(session_id="1"), now=timezone.now())
    phone(first.user)
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {outside.token(session_id='2')}")
    refused = client.get("/api/v1/me")
    assert (refused.status_code, refused.json()["type"]) == (409, "LimitReached")
    log_out(session=first, now=timezone.now())
    assert client.get("/api/v1/me").status_code == 200


def test_a_repeat_neither_counts_nor_fails_by_the_limit_that_the_first_one_reached(
    as_ana: Client, ana: Credentials, limits: Callable[..., None]
) -> None:
    limits(medications=1, schedules=1, edits=Limit(2, 3600))
    medication = {"id": str(uuid4()), "name": "Aspirin"}
    schedule = {"id": str(uuid4()), "scheduled_time": "08:00"}
    path = f"/api/v1/medications/{medication['id']}/schedules"
    for status in (201, 200, 200):
        assert as_ana.post("/api/v1/medications", medication, format="json").status_code == status
    for status in (201, 200, 200):
        assert as_ana.post(path, schedule, format="json").status_code == status
    assert RateCounter.objects.get().times == 2
    refused = as_ana.post("/api/v1/medications", {"name": "x"}, format="json").json()
    assert (refused["type"], refused["limit"], refused["number"]) == ("LimitReached", "medications", 1)
    refused = as_ana.post(path, {"scheduled_time": "09:00"}, format="json").json()
    assert (refused["type"], refused["limit"], refused["number"]) == ("LimitReached", "schedules", 1)


def test_what_was_deleted_and_what_belongs_to_others_does_not_count(
    ana: Credentials, ben: Credentials, limits: Callable[..., None]
) -> None:
    limits(medications=1, schedules=1)
    now = timezone.now()
    for _ in range(2):
        medication = medication_of(ana.user)
        schedule_at(medication, time(8), now=now)
        delete_medication(medication=medication, now=now)
    schedule_at(medication_of(ana.user), time(8), now=now)
    schedule_at(medication_of(ben.user), time(8), now=now)


def test_a_clone_counts_with_all_its_schedules(ana: Credentials, limits: Callable[..., None]) -> None:
    now = timezone.now()
    medication = medication_of(ana.user)
    for hour in range(3):
        schedule_at(medication, time(hour), now=now)
    RateCounter.objects.all().delete()
    clone: dict[str, Any] = {"medication_id": medication.id, "by": ana.user, "now": now}
    for refusing, error in (
        ({"medications": 1}, LimitReached),
        ({"schedules": 5}, LimitReached),
        ({"edits": Limit(3, 3600)}, TooManyEdits),
    ):
        limits(medications=2, schedules=6, edits=Limit(4, 3600))
        limits(**refusing)
        with pytest.raises(error), transaction.atomic():
            clone_medication(**clone)
    assert (Medication.objects.count(), Schedule.objects.count(), RateCounter.objects.count()) == (1, 3, 0)
    limits(medications=2, schedules=6, edits=Limit(4, 3600))
    clone_medication(**clone)
    assert RateCounter.objects.get().times == 4


def test_every_edit_counts_and_what_fails_does_not(
    as_ana: Client, ana: Credentials, limits: Callable[..., None]
) -> None:
    medication, other = medication_of(ana.user), medication_of(ana.user)
    schedule = schedule_at(medication, time(8), now=timezone.now())
    path, schedules = f"/api/v1/medications/{medication.id}", f"/api/v1/schedules/{schedule.id}"
    requests = [
        ("post", "/api/v1/medications", {"name": "x"}),
        ("patch", path, {"memo": "x"}),
        ("post", f"{path}/pause", {}),
        ("post", f"{path}/resume", {}),
        ("post", f"{path}/schedules", {"scheduled_time": "09:00"}),
        ("patch", schedules, {"scheduled_time": "10:00"}),
        ("delete", schedules, {}),
        ("post", f"/api/v1/medications/{other.id}/clone", {}),
        ("delete", path, {}),
    ]
    for method, where, body in requests:
        RateCounter.objects.update(times=300)
        refused = getattr(as_ana, method)(where, body, format="json")
        assert (refused.status_code, refused.json()["limit"]) == (429, "edits"), where
        assert 3500 < int(refused.headers["Retry-After"]) <= 3600
        RateCounter.objects.update(times=299)
        assert getattr(as_ana, method)(where, body, format="json").status_code < 300
        assert RateCounter.objects.get().times == 300
        RateCounter.objects.update(times=0)
        assert as_ana.post("/api/v1/medications", {"name": ""}, format="json").status_code == 400
        assert as_ana.patch(f"/api/v1/medications/{uuid4()}", {}, format="json").status_code == 404
        assert RateCounter.objects.get().times == 0


def test_a_window_ends_with_its_time(ana: Credentials, limits: Callable[..., None]) -> None:
    limits(edits=Limit(1, 3600))
    medication = medication_of(ana.user)
    with pytest.raises(TooManyEdits), transaction.atomic():
        pause_medication(medication=medication, now=timezone.now())
    RateCounter.objects.update(began_at=timezone.now() - HOUR)
    pause_medication(medication=medication, now=timezone.now())
    assert RateCounter.objects.get().times == 1


def test_the_zone_counts_only_when_it_changes(as_ana: Client, limits: Callable[..., None]) -> None:
    limits(zone_changes=Limit(1, 3600))
    for zone in ("Asia/Seoul", "Asia/Seoul"):
        assert as_ana.patch("/api/v1/me", {"timezone": zone, "name": "A"}, format="json").status_code == 200
    refused = as_ana.patch("/api/v1/me", {"timezone": "UTC"}, format="json")
    assert (refused.status_code, refused.json()["type"]) == (429, "TooManyEdits")
    assert refused.json()["limit"] == "zone_changes"
    assert as_ana.patch("/api/v1/me", {"name": "B"}, format="json").status_code == 200


def test_test_pushes_count_over_all_devices_of_a_person(
    ana: Credentials, ben: Credentials, limits: Callable[..., None]
) -> None:
    limits(test_pushes=Limit(4, 3600))
    phones = [phone(ana.user), phone(ana.user)]
    for number in range(4):
        send_test_push(device=phones[number % 2], now=timezone.now())
    with pytest.raises(TooManyTests), transaction.atomic():
        send_test_push(device=phones[0], now=timezone.now())
    assert NotificationLog.objects.count() == 4
    send_test_push(device=phone(ben.user), now=timezone.now())


def test_one_device_too_many_retires_the_longest_unseen_one_that_was_not_reached(
    as_ana: Client, ana: Credentials, limits: Callable[..., None]
) -> None:
    limits(devices=4)
    accepted, acknowledged, old, older = (phone(ana.user) for _ in range(4))
    for device in (accepted, acknowledged, old):
        unseen(device, 2 * LONG_AGO)
    unseen(older, 3 * LONG_AGO)
    deliver(accepted, answered_at=timezone.now() - HOUR)
    deliver(acknowledged, answered_at=timezone.now() - 2 * HOUR, arrived_at=timezone.now() - HOUR)
    for gone in (older, old):
        phone(ana.user)
        gone.refresh_from_db()
        assert gone.revoke_reason == "too_many_devices"
    with pytest.raises(LimitReached) as refused, transaction.atomic():
        phone(ana.user)
    assert (refused.value.members, DeviceToken.objects.filter(revoked_at=None).count()) == (
        {"limit": "devices", "number": 4},
        4,
    )
    body = {"token": accepted.token, "platform": "ios"}
    assert as_ana.post("/api/v1/devices", body, format="json").status_code == 200
    answer = as_ana.post("/api/v1/devices", body | {"token": "new"}, format="json")
    assert (answer.status_code, answer.json()["type"], answer.json()["limit"]) == (
        409,
        "LimitReached",
        "devices",
    )
    revoke_device(device=accepted, reason="removed_by_owner", now=timezone.now())
    assert as_ana.post("/api/v1/devices", body | {"token": "new"}, format="json").status_code == 201


def test_a_device_that_nobody_is_signed_in_on_gives_way_first(
    ana: Credentials, limits: Callable[..., None]
) -> None:
    signed_out = phone(ana.user)
    other = sign_in(ana.user, "other")
    old = phone(ana.user)
    unseen(old, LONG_AGO)
    Session.objects.exclude(id=other.id).update(revoked_at=timezone.now())
    limits(devices=2)
    new = phone(ana.user)
    living = DeviceToken.objects.filter(revoked_at=None)
    assert set(living.values_list("id", flat=True)) == {old.id, new.id}
    assert signed_out.id not in living.values_list("id", flat=True)


def deliver(device: DeviceToken, **fields: Any) -> None:
    push = send_test_push(device=device, now=timezone.now())
    values: dict[str, Any] = {
        "outcome": "accepted",
        "message_id": "1",
        "claimed_at": timezone.now(),
        **fields,
    }
    PushDelivery.objects.create(notification=push, device=device, **values)


def test_a_device_is_reached_by_what_was_accepted_since_it_is_the_persons(ana: Credentials) -> None:
    now = timezone.now()
    device = phone(ana.user)
    unseen(device, LONG_AGO)
    lapsed = now - LONG_AGO
    deliver(device, answered_at=now - HOUR, outcome="dead", message_id="", error_code="UNREGISTERED")
    assert last_reached(ana.user, now=now)[session_of(ana.user).id] < lapsed + HOUR
    deliver(device, answered_at=now - HOUR)
    assert last_reached(ana.user, now=now) == {session_of(ana.user).id: now - HOUR}
    DeviceToken.objects.update(owned_since=now)
    assert last_reached(ana.user, now=now)[session_of(ana.user).id] < lapsed + HOUR
    DeviceToken.objects.update(revoked_at=now, revoke_reason="UNREGISTERED")
    assert last_reached(ana.user, now=now) == {}


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
    log_out(session=over, now=timezone.now())
    with pytest.raises(NotFound), transaction.atomic():
        sign_in(ana.user, end_session=over.id)


def test_what_has_no_limit_goes_on_at_all_limits(
    as_ana: Client, ana: Credentials, limits: Callable[..., None]
) -> None:
    medication = medication_of(ana.user)
    device = phone(ana.user)
    limits(edits=Limit(1, 3600), sessions=1, intakes_a_day=1, test_pushes=Limit(1, 3600))
    for _ in range(3):
        intake = {"medication_id": str(medication.id)}
        assert as_ana.post("/api/v1/doses", intake, format="json").status_code == 201
        body = {"token": device.token, "platform": "ios"}
        assert as_ana.post("/api/v1/devices", body, format="json").status_code == 200
    refresh = {"refresh": ana.refresh}
    assert as_ana.post("/api/v1/auth/refresh", refresh, format="json").status_code == 200
    assert as_ana.post("/api/v1/auth/logout").status_code == 204


def test_limits_are_written_as_numbers_and_as_times_and_seconds() -> None:
    changed = PersonLimits.parse("devices=50, edits=600/1800")
    assert changed == replace(PersonLimits(), devices=50, edits=Limit(600, 1800))
    assert PersonLimits.parse("") == PersonLimits()
    for wrong in ("devices", "devices=0", "devices=-1", "devices=5/60", "edits=5", "cats=3", "devices=x"):
        with pytest.raises(ValueError, match=r"is (none of|not a)"):
            PersonLimits.parse(wrong)


def test_every_limit_is_described_for_clients() -> None:
    assert BEYOND.keys() == PersonLimits.__dataclass_fields__.keys()
    assert limits_table() in SCHEMA["info"]["description"]


@pytest.mark.parametrize("language", ["ko", "ja"])
@pytest.mark.parametrize("limit", ["devices", "medications", "schedules", "sessions"])
def test_every_limit_is_told_in_the_persons_language(limit: str, language: str) -> None:
    english = str(LimitReached(limit).detail)
    number = str(getattr(PersonLimits(), limit))
    with translation.override(language):
        assert number in str(LimitReached(limit).detail) != english
    assert number in english


@pytest.mark.django_db(transaction=True)
def test_two_people_who_swap_phones_at_their_limit_meet_no_defect(
    limits: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds the row that the other wants to retire: the victim of the deadlock is told to try again."""
    limits(devices=2)
    people = {"a": person("Ana"), "b": person("Ben")}
    for letter, who in people.items():
        for number in range(2):
            unseen(phone(who.user, f"{letter}{number}"), timedelta(days=90 - number))
    both_registered, retire = Barrier(2), notifications_actions._retire_others

    def retire_together(new: DeviceToken, now: datetime) -> None:
        both_registered.wait(20)
        retire(new, now)

    monkeypatch.setattr(notifications_actions, "_retire_others", retire_together)

    def register(who: Credentials, token: str) -> int:
        body = {"token": token, "platform": "android"}
        return int(Client(who).post("/api/v1/devices", body, format="json").status_code)

    with ThreadPoolExecutor(2) as pool:
        swaps = [
            pool.submit(closing(register), people["a"], "b0"),
            pool.submit(closing(register), people["b"], "a0"),
        ]
        assert {swap.result() for swap in swaps} <= {200, 503}


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

    old = outside_session(token("old"), now=now)
    long_ago = {"created_at": now - timedelta(days=90), "last_used_at": now - timedelta(days=61)}
    Session.objects.filter(id=old.id).update(expires_at=now - timedelta(days=1), **long_ago)
    for name in ("one", "two", "old"):
        outside_session(token(name), now=timezone.now())
    assert Session.objects.visible_to(old.user, now=timezone.now()).count() == 2


def test_pausing_what_is_paused_is_no_edit(ana: Credentials, limits: Callable[..., None]) -> None:
    medication = medication_of(ana.user)
    limits(edits=Limit(2, 3600))
    for _ in range(3):
        pause_medication(medication=medication, now=timezone.now())
