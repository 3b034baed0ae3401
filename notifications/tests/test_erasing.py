"""`DELETE /me`: everything about a user is deleted, except that there was one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import IntegrityError, OperationalError, connection, transaction
from django.http import Http404
from django.utils import timezone

from dosing.actions.doses import take_dose
from dosing.actions.erasing import erase_doses
from dosing.actions.intakes import log_intake
from dosing.models import DoseEvent, DoseLog, Schedule
from medications.actions import create_medication
from medications.models import Medication, MedicationEvent
from medtrack.api import erasure
from medtrack.api.erasure import ErasureBlocked, erase_person
from medtrack.database.clock import database_now
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import (
    PASSWORD,
    claim_all,
    device_of,
    dose_due,
    medication_of,
    person,
    push_a_test,
    session_of,
)
from medtrack.tests.support.database_role import OWNER, acting_as
from medtrack.tests.support.workers import closing, wait_until_a_lock_is_waited_for
from notifications import queue
from notifications.actions import register_device
from notifications.judgement import Judge
from notifications.models import DeviceToken, NotificationLog, PushDelivery
from notifications.queue import Push, PushResult
from notifications.tasks import delete_reminders_of_erased_users
from notifications.transports.results import FcmResult, FcmResultKind
from users.actions import Credentials, sign_up
from users.models import IdempotencyKey, Identity, RateCounter, Session, Trip, User

ME = "/api/v1/me"
ACCEPTED = FcmResult(FcmResultKind.ACCEPTED, message_id="projects/p/messages/1")


def claim() -> list[Push]:
    queue.enqueue()
    return claim_all().pushes


def mark(pushes: list[Push]) -> queue.Marked:
    return queue.mark([PushResult(push, dict.fromkeys(push.devices, ACCEPTED), None) for push in pushes])


def live(user: User) -> None:
    """Something of everything: a phone that was told of a taken dose, an intake, a test, a key, an identity."""
    device = device_of(user)
    dose = dose_due(user, timezone.now() - timedelta(seconds=2))
    push_a_test(device, now=database_now())
    mark(claim())
    take_dose(dose_id=dose.id, by=user, now=database_now(), event_id=uuid4())
    take_dose(dose_id=dose.id, by=user, now=database_now(), event_id=uuid4())
    log_intake(medication_id=dose.medication_id, by=user, now=database_now(), id=uuid4())
    dose_due(user, timezone.now() + timedelta(hours=1), medicine="Later")
    identity = Identity.objects.create(user=user, issuer="https://issuer.example", subject=str(user.id))
    outside: dict[str, Any] = {"identity": identity, "outside_id": "1"}
    Session.objects.create(
        user=user, family=uuid4(), expires_at=timezone.now() + timedelta(days=1), **outside
    )
    Trip.objects.create(user=user, timezone="UTC", starts_at=timezone.now())
    MedicationEvent.objects.create(medication=dose.medication, action="created", recorded_by=user)


def rows_of(user: User) -> dict[str, int]:
    """How many rows of each table are the person's."""
    paths = {
        Medication: "user",
        Schedule: "medication__user",
        DoseLog: "user",
        DoseEvent: "dose__user",
        NotificationLog: "user",
        PushDelivery: "notification__user",
        DeviceToken: "user",
        Session: "user",
        Identity: "user",
        IdempotencyKey: "user",
        RateCounter: "user",
        Trip: "user",
        MedicationEvent: "medication__user",
    }
    counts = {
        model.__name__: model._default_manager.filter(**{path: user}).count() for model, path in paths.items()
    }
    # A keyed hash keeps old tokens out without showing whose they were.
    counts["Identity"] -= user.identities.filter(subject__startswith="erased ").count()
    return counts


def erase(client: Client, **body: Any) -> Any:
    return client.delete(ME, body, format="json")


def test_nothing_stays_but_an_empty_person(as_ana: Client, ana: Credentials, ben: Credentials) -> None:
    for user in (ana.user, ben.user):
        live(user)
    before = rows_of(ben.user)
    assert all(rows_of(ana.user).values())
    assert erase(as_ana, password=PASSWORD).status_code == 204
    assert set(rows_of(ana.user).values()) == {0}
    assert rows_of(ben.user) == before
    gone = User.objects.get(id=ana.user.id)
    assert (gone.email, gone.name, gone.is_active, gone.has_usable_password()) == (None, "", False, False)
    assert gone.deleted_at is not None
    empty = User(id=gone.id)
    kept = {"id", "password", "created_at", "updated_at", "deleted_at", "is_active"}
    for field in User._meta.concrete_fields:
        if field.name not in kept:
            assert getattr(gone, field.attname) == getattr(empty, field.attname), field.name


def test_every_table_with_a_person_is_thought_of() -> None:
    """A new model that belongs to a person must be erased, and counted here."""
    ours = {
        model
        for app in ("users", "medications", "dosing", "notifications")
        for model in apps.get_app_config(app).get_models()
    }
    theirs = {
        model.__name__ for model in ours if any(field.related_model is User for field in model._meta.fields)
    }
    # The access log is kept: it says who looked at the data, and is append-only.
    assert theirs <= {*rows_of(User()), "DoseEvent", "AccessLog"}


def test_nobody_is_signed_in_any_more_and_the_email_is_free(as_ana: Client, ana: Credentials) -> None:
    assert erase(as_ana, password=PASSWORD).status_code == 204
    assert as_ana.get(ME).status_code == 401
    refused = Client().post(
        "/api/v1/auth/login", {"email": "ana@example.com", "password": PASSWORD}, format="json"
    )
    assert refused.status_code == 401
    again = sign_up(email="Ana@example.com", password=PASSWORD, now=timezone.now())
    assert again.user.id != ana.user.id


def test_what_somebody_recorded_for_others_stays_with_them(
    as_ana: Client, ana: Credentials, ben: Credentials
) -> None:
    dose = dose_due(ben.user, timezone.now() - timedelta(seconds=2))
    take_dose(dose_id=dose.id, by=ben.user, now=database_now())
    DoseLog.objects.filter(id=dose.id).update(recorded_by=ana.user)
    assert erase(as_ana, password=PASSWORD).status_code == 204
    assert DoseLog.objects.get(id=dose.id).recorded_by_id == ana.user.id


def test_a_phone_that_was_somebody_elses_stays_as_what_their_pushes_went_to(
    as_ana: Client, ana: Credentials, cleo: Credentials
) -> None:
    phone = device_of(cleo.user, "phone", device_id="pixel")
    dose_due(cleo.user, timezone.now() - timedelta(seconds=2))
    mark(claim())
    device_of(ana.user, "phone", device_id="pixel")
    device_of(ana.user, "another")
    assert erase(as_ana, password=PASSWORD).status_code == 204
    left = DeviceToken.objects.get()
    assert (left.id, left.revoke_reason, left.session, left.device_id) == (phone.id, "erased", None, "")
    assert "phone" not in left.token
    assert PushDelivery.objects.count() == 1
    device_of(cleo.user, "phone")


def test_a_phone_that_went_to_somebody_else_stays_theirs(
    as_ana: Client, ana: Credentials, cleo: Credentials
) -> None:
    device_of(ana.user, "phone")
    dose_due(ana.user, timezone.now() - timedelta(seconds=2))
    mark(claim())
    device_of(cleo.user, "phone")
    assert erase(as_ana, password=PASSWORD).status_code == 204
    assert DeviceToken.objects.get().user_id == cleo.user.id


# Who may


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({}, 403, "FreshLogInRequired"),
        ({"password": "wrong"}, 400, "ValidationError"),
        ({"password": ""}, 400, "ValidationError"),
        ({"password": None}, 400, "ValidationError"),
        ({"password": 5}, 400, "ValidationError"),
        ({"password": "a\u0000"}, 400, "ValidationError"),
        ([], 400, "ValidationError"),
    ],
)
def test_whoever_has_a_password_must_say_it(as_ana: Client, body: Any, status: int, problem: str) -> None:
    refused = as_ana.delete(ME, body, format="json")
    assert (refused.status_code, refused.json()["type"]) == (status, problem)
    assert User.objects.get().email == "ana@example.com"


@pytest.mark.parametrize(("minutes", "status"), [(9, 204), (11, 403)])
@pytest.mark.parametrize("body", [{}, {"password": "anything"}])
def test_whoever_has_no_password_must_have_signed_in_just_now(
    as_ana: Client, ana: Credentials, minutes: int, status: int, body: dict[str, str]
) -> None:
    ana.user.set_unusable_password()
    ana.user.save()
    Session.objects.update(created_at=timezone.now() - timedelta(minutes=minutes))
    assert erase(as_ana, **body).status_code == status
    assert (User.objects.get().deleted_at is None) == (status == 403)


def test_nobody_erases_anybody_else(as_cleo: Client, as_nobody: Client, ana: Credentials) -> None:
    live(ana.user)
    before = rows_of(ana.user)
    assert erase(as_nobody, password=PASSWORD).status_code == 401
    assert erase(as_cleo, password=PASSWORD, user=str(ana.user.id)).status_code == 400
    assert erase(as_cleo, password=PASSWORD).status_code == 204
    assert rows_of(ana.user) == before


# The door in the trigger


def attempt(sql: str, *settings: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for value in settings:
            cursor.execute(f"SELECT set_config('medtrack.erasing', {value}, true)")
        cursor.execute(sql)


@pytest.mark.parametrize(
    "setting",
    [
        "''",
        "'on'",
        "'{ana}'",
        "'{ana} '",
        "'{ana} 1'",
        "'{ben} ' || pg_current_xact_id()",
        "' ' || pg_current_xact_id()",
        "NULL",
    ],
)
def test_nothing_else_opens_the_history(ana: Credentials, ben: Credentials, setting: str) -> None:
    live(ana.user)
    value = setting.format(ana=ana.user.id, ben=ben.user.id)
    with pytest.raises(IntegrityError, match="append-only"):
        attempt("DELETE FROM dose_events", value)


def test_the_door_is_for_deleting_ones_own_events_alone(ana: Credentials, ben: Credentials) -> None:
    for user in (ana.user, ben.user):
        live(user)
    opened = f"'{ana.user.id} ' || pg_current_xact_id()"
    for change in ("DELETE FROM dose_events", "UPDATE dose_events SET payload = '{}'"):
        with pytest.raises(IntegrityError, match="append-only"), acting_as(OWNER):
            attempt(change, opened)
    mine = "FROM dose_logs WHERE user_id = "
    attempt(f"DELETE FROM dose_events WHERE dose_id IN (SELECT id {mine} '{ana.user.id}')", opened)
    assert not DoseEvent.objects.filter(dose__user=ana.user).exists()


@pytest.mark.breaks_the_engine
def test_the_door_is_shut_again_after_the_erasure(ana: Credentials, ben: Credentials) -> None:
    for user in (ana.user, ben.user):
        live(user)
    with transaction.atomic():
        erase_doses(user=ana.user)
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            DoseEvent.objects.all().delete()
    assert DoseEvent.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_door_left_open_by_a_session_is_shut_for_its_next_transaction() -> None:
    ana = person("Ana").user
    live(ana)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('medtrack.erasing', %s || ' ' || pg_current_xact_id(), false)", [str(ana.id)]
        )
    with pytest.raises(IntegrityError, match="append-only"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM dose_events")
    with connection.cursor() as cursor:
        cursor.execute("RESET medtrack.erasing")


# At the same time


def test_a_push_on_its_way_when_its_person_goes_is_marked_nowhere(ana: Credentials, ben: Credentials) -> None:
    for user in (ana.user, ben.user):
        device_of(user)
        dose_due(user, timezone.now() - timedelta(seconds=2))
    pushes = claim()
    assert len(pushes) == 2
    erase_person(user=ana.user, now=database_now())
    assert mark(pushes).lost == 1
    Judge("a-project").settle(
        [PushResult(push, dict.fromkeys(push.devices, ACCEPTED), None) for push in pushes]
    )
    assert (claim(), PushDelivery.objects.count()) == ([], 1)


def test_a_reminder_that_was_enqueued_too_late_is_moot(ana: Credentials) -> None:
    device_of(ana.user)
    dose_due(ana.user, timezone.now() - timedelta(seconds=2))
    queue.enqueue()
    late = NotificationLog.objects.values().get()
    erase_person(user=ana.user, now=database_now())
    NotificationLog.objects.create(**late)
    assert claim() == []
    assert NotificationLog.objects.get().reason == "user_inactive"
    delete_reminders_of_erased_users()
    assert not NotificationLog.objects.exists()


HOLDERS: dict[str, Callable[[User], Any]] = {
    "a claim": lambda user: claim_all(),
    "a turn": lambda user: User.objects.select_for_update(no_key=True).get(id=user.id),
    "an answer": lambda user: take_dose(dose_id=DoseLog.objects.get().id, by=user, now=database_now()),
    "a planner": lambda user: Schedule.objects.select_for_update(no_key=True).get(),
    "an acknowledgement": lambda user: DeviceToken.objects.select_for_update().get(),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("holder", HOLDERS)
def test_whoever_has_something_of_the_person_is_let_finish(
    holder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = person("Ana").user
    device_of(ana)
    dose_due(ana, timezone.now() - timedelta(seconds=2))
    queue.enqueue()
    monkeypatch.setattr(erasure, "PATIENCE", 0.2)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        HOLDERS[holder](ana)
        before = rows_of(ana)
        job = pool.submit(closing(lambda: erase_person(user=ana, now=timezone.now())))
        with pytest.raises(ErasureBlocked):  # and not a time-out: it does not wait for the lock of this test
            job.result(timeout=60)
        assert rows_of(ana) == before
    erase_person(user=ana, now=database_now())
    assert set(rows_of(ana).values()) == {0}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(3))
def test_dispatchers_and_answers_go_on_while_people_are_erased(number: int) -> None:
    people = [person(name).user for name in ("Ana", "Ben", "Cleo")]
    for user in people:
        device_of(user)
        for minutes in range(3):
            dose_due(user, timezone.now() - timedelta(seconds=2 + minutes), medicine=f"M{minutes}")
    intake = log_intake(
        medication_id=medication_of(people[0], "Ibuprofen").id, by=people[0], now=database_now()
    ).object
    rounds = Barrier(4)

    def dispatch() -> None:
        rounds.wait()
        for _ in range(5):
            mark(claim())

    def answer() -> None:
        rounds.wait()
        for dose in (*DoseLog.objects.filter(user=people[0], status="pending"), intake):
            with suppress(Http404):
                take_dose(dose_id=dose.id, by=people[0], now=database_now())

    def go(user: User) -> None:
        rounds.wait()
        erase_person(user=user, now=database_now())

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(closing(job)) for job in (dispatch, answer)]
        jobs += [pool.submit(closing(go), user) for user in people[:2]]
        for job in jobs:
            job.result()
    claim()  # closes what was enqueued too late
    delete_reminders_of_erased_users()
    for user in people[:2]:
        assert set(rows_of(user).values()) == {0}
    assert rows_of(people[2])["PushDelivery"] == 3


@pytest.mark.django_db(transaction=True)
def test_what_was_asked_for_before_is_not_written_after() -> None:
    ana = person("Ana").user
    medication = medication_of(ana)
    phone: dict[str, Any] = {"session": session_of(ana), "token": "t", "platform": "web"}
    acts: list[Callable[[], Any]] = [
        lambda: create_medication(by=ana, now=timezone.now(), name="Aspirin"),
        lambda: log_intake(medication_id=medication.id, by=ana, now=database_now()),
        lambda: register_device(by=ana, now=database_now(), **phone),
        lambda: erase_person(user=ana, now=database_now()),
    ]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            erasure._erase(ana, database_now())
            job = pool.submit(closing(acts[0]))
            wait_until_a_lock_is_waited_for()
        with pytest.raises(Http404):
            job.result()
    for act in acts:
        with pytest.raises(Http404):
            act()
    assert set(rows_of(ana).values()) == {0}


def test_an_erasure_that_fails_changes_nothing(ana: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    live(ana.user)
    before = rows_of(ana.user)

    def fail(**_fields: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(erasure, "erase_account", fail)
    with pytest.raises(OperationalError), transaction.atomic():
        erase_person(user=ana.user, now=database_now())
    assert rows_of(ana.user) == before


def test_guesses_of_the_password_are_counted(as_ana: Client) -> None:
    answers = [as_ana.delete("/api/v1/me", {"password": "wrong"}, format="json") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [400] * 10 + [429]


def test_an_invitation_to_the_staff_is_forgotten_with_the_account(ana: Credentials) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO staff_invitations (id, email, roles, is_superuser, language, expires_at) VALUES"
            " (gen_random_uuid(), 'ANA@example.com', '{support}', false, 'en', now() + interval '3 days')"
        )
        erase_person(user=ana.user, now=database_now())
        cursor.execute("SELECT email, withdrawn_at IS NOT NULL FROM staff_invitations")
        assert cursor.fetchall() == [(None, True)]
