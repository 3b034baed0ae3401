"""The documented list of problem types: complete, explained, translated, and each produced by a request."""

from collections.abc import Callable
from dataclasses import replace
from datetime import time, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.urls import get_resolver
from django.utils import timezone, translation

from medtrack.api import erasure
from medtrack.database.exclusive_lock import only_one
from medtrack.development.services.ports import free_port
from medtrack.http.limits import Limit
from medtrack.http.problems import problem_types
from medtrack.tests.support.api import PROBLEM_TYPES, SCHEMA, Client
from medtrack.tests.support.builders import claim_all, device_of, dose_due, medication_of, schedule_at
from medtrack.tests.support.calls import OPERATIONS, call
from medtrack.tests.support.locks import table_locked
from medtrack.tests.support.owned_objects import OwnedObjects, owned_objects_of, undone
from notifications import queue
from users.actions import Credentials
from users.hashing import SLOT

NOBODY = "/api/v1/medications/01900000-0000-7000-8000-000000000000"
Producer = Callable[[Client, OwnedObjects], Any]
OPERATION = {operation.id: operation for operation in OPERATIONS}


def post(client: Client, path: str, body: Any, **extra: Any) -> Any:
    return client.post(f"/api/v1/{path}", body, format="json", **extra)


def twice(client: Client, anas: OwnedObjects, **limits: int) -> Any:
    """An as-needed medicine, taken once more than its limits allow."""
    medication = medication_of(anas.user, "Ibuprofen")
    schedule_at(medication, time(0, 2), now=timezone.now(), cycle_type="as_needed", cycle_value={**limits})
    post(client, "doses", {"medication_id": str(medication.id)})
    return post(client, "doses", {"medication_id": str(medication.id)})


def push_to_a_removed_device(client: Client, anas: OwnedObjects) -> Any:
    call(client, OPERATION["removeDevice"], anas)
    return call(client, OPERATION["testDevice"], anas)


def push_six_tests(client: Client, anas: OwnedObjects) -> Any:
    return [call(client, OPERATION["testDevice"], anas) for _ in range(6)][-1]


def acknowledge_too_early(client: Client, anas: OwnedObjects) -> Any:
    device_of(anas.user)
    dose_due(anas.user, timezone.now() - timedelta(seconds=1), medicine="Aspirin")
    queue.enqueue()
    (push,) = claim_all().pushes
    return post(client, f"notifications/{push.notification_ids[0]}/ack", {"state": "opened"})


def take_too_early(client: Client, anas: OwnedObjects) -> Any:
    dose = dose_due(anas.user, timezone.now() + timedelta(days=30), medicine="Aspirin")
    return post(client, f"doses/{dose.id}/take", {})


def fail(client: Client, anas: OwnedObjects) -> Any:
    client.raise_request_exception = False
    with override_settings(ROOT_URLCONF="medtrack.tests.whole.test_problems"):
        return client.get("/api/v1/broken")


def after_signing_out(client: Client, anas: OwnedObjects) -> Any:
    call(client, OPERATION["logOut"], anas)
    return call(client, OPERATION["getMe"], anas)


def sign_up_too_often(client: Client, anas: OwnedObjects) -> Any:
    with override_settings(THROTTLES=settings.THROTTLES | {"signup": Limit(1, 60)}):
        return [call(client, OPERATION["signUp"], anas) for _ in range(2)][-1]


def verify_twice(client: Client, anas: OwnedObjects) -> Any:
    call(client, OPERATION["verifyEmail"], anas)
    return call(client, OPERATION["sendVerification"], anas)


def erase_while_writing(client: Client, anas: OwnedObjects) -> Any:
    """As if all attempts had been in vain; those who are in the way would need what this test did not commit."""
    with patch.object(erasure, "PATIENCE", 0):
        return call(client, OPERATION["deleteMe"], anas)


def ask_an_issuer_who_is_away(client: Client, anas: OwnedObjects) -> Any:
    away = replace(settings.SOCIAL_ISSUERS["google"], jwks_url=f"http://127.0.0.1:{free_port()}/keys")
    with override_settings(SOCIAL_ISSUERS=settings.SOCIAL_ISSUERS | {"google": away}):
        return call(client, OPERATION["logInSocially"], anas)


def with_limits(produce: Producer, **changes: Any) -> Producer:
    def produced(client: Client, anas: OwnedObjects) -> Any:
        with override_settings(LIMITS=replace(settings.LIMITS, **changes)):
            return produce(client, anas)

    return produced


def flush_while_flushing(client: Client, anas: OwnedObjects) -> Any:
    with only_one(f"flush {anas.user.id}"):
        return call(client, OPERATION["recordDoseEvents"], anas)


def flush_to_a_standby(client: Client, anas: OwnedObjects) -> Any:
    with undone(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")
        return call(client, OPERATION["recordDoseEvents"], anas)


def without_redis(operation: str) -> Producer:
    def produce(client: Client, anas: OwnedObjects) -> Any:
        nowhere = f"redis://127.0.0.1:{free_port()}/0"
        current_app.conf.broker_write_url = nowhere
        try:
            with override_settings(REDIS_URL=nowhere):
                return call(client, OPERATION[operation], anas)
        finally:
            current_app.conf.broker_write_url = None

    return produce


def sign_in_while_another_does(client: Client, anas: OwnedObjects) -> Any:
    with override_settings(PASSWORD_HASHES_WAITING=0), SLOT:
        return call(client, OPERATION["logIn"], anas)


def wait_for_a_lock(client: Client, anas: OwnedObjects) -> Any:
    with table_locked("identities", limit="lock_timeout"), undone():
        return call(client, OPERATION["logInSocially"], anas)


def with_token(token: str) -> Any:
    client = Client()
    client.credentials(HTTP_AUTHORIZATION=token)
    return client.get("/api/v1/me")


PRODUCERS: dict[str, Producer] = {
    "BadRequest": lambda ana, _: ana.get("/api/v1/me", HTTP_HOST="evil.example.org"),
    "ParseError": lambda ana, _: ana.generic("POST", "/api/v1/medications", "{", "application/json"),
    "ValidationError": lambda ana, _: post(ana, "medications", {"name": ""}),
    "NotAuthenticated": lambda _, __: Client().get("/api/v1/me"),
    "AuthenticationFailed": lambda _, __: with_token("Bearer stale"),
    "SessionEnded": after_signing_out,
    "InvalidCredentials": lambda ana, _: post(ana, "auth/login", {"email": "x@example.com", "password": "x"}),
    "InvalidRefreshToken": lambda ana, _: post(ana, "auth/refresh", {"refresh": "stale"}),
    "NotFound": lambda ana, _: ana.get(NOBODY),
    "MethodNotAllowed": lambda ana, _: ana.put("/api/v1/medications"),
    "Busy": wait_for_a_lock,
    "NotAcceptable": lambda ana, _: ana.get("/api/v1/me", HTTP_ACCEPT="text/html"),
    "IntakeTooSoon": lambda ana, anas: twice(ana, anas, min_gap_minutes=60),
    "DailyLimitReached": lambda ana, anas: twice(ana, anas, max_per_day=1),
    "LimitReached": with_limits(
        lambda ana, anas: call(ana, OPERATION["createMedication"], anas), medications=1
    ),
    "TooManyEdits": with_limits(
        lambda ana, anas: call(ana, OPERATION["updateMedication"], anas), edits=Limit(1, 3600)
    ),
    "Changed": lambda ana, anas: ana.delete(
        f"/api/v1/medications/{anas.medication.id}", headers={"if-match": '"9"'}
    ),
    "EventsBusy": flush_while_flushing,
    "EventsUnavailable": flush_to_a_standby,
    "DeviceRevoked": push_to_a_removed_device,
    "TooManyTests": push_six_tests,
    "EmailTaken": lambda ana, anas: post(
        ana, "auth/signup", {"email": anas.user.email, "password": "seven quiet rivers"}
    ),
    "TripsOverlap": lambda ana, anas: post(
        ana, "me/trips", {"timezone": "Asia/Tokyo", "starts_at": anas.trip.starts_at.isoformat()}
    ),
    "IdConflict": lambda ana, anas: post(ana, "medications", {"id": str(anas.medication.id), "name": "x"}),
    "InvalidTransition": lambda ana, anas: post(ana, f"doses/{anas.taken.id}/snooze", {"minutes": 5}),
    "AlreadyRecorded": lambda ana, anas: post(ana, f"doses/{anas.taken.id}/take", {"quantity": "9"}),
    "TooEarly": take_too_early,
    "NotSentYet": acknowledge_too_early,
    "RequestTooLarge": lambda ana, _: post(ana, "medications", {"name": "x" * 3_000_000}),
    "UnsupportedMediaType": lambda ana, _: ana.generic("POST", "/api/v1/medications", "a=b", "text/plain"),
    "InternalError": fail,
    "Throttled": sign_up_too_often,
    "InvalidIdToken": lambda ana, _: post(ana, "auth/social", {"provider": "google", "id_token": "stale"}),
    "InvalidLink": lambda ana, _: post(ana, "auth/email/verify", {"token": "stale"}),
    "NothingToVerify": verify_twice,
    "FreshLogInRequired": lambda ana, _: ana.delete("/api/v1/me", {}, format="json"),
    "ErasureBlocked": erase_while_writing,
    "IssuerUnavailable": ask_an_issuer_who_is_away,
    "LoginUnavailable": without_redis("logIn"),
    "PasswordsBusy": sign_in_while_another_does,
    "MailUnavailable": without_redis("forgotPassword"),
}


@pytest.fixture
def anas(ana: Credentials) -> OwnedObjects:
    return owned_objects_of(ana)


@pytest.mark.parametrize("name", PROBLEM_TYPES)
def test_every_type_is_answered_by_some_request(as_ana: Client, anas: OwnedObjects, name: str) -> None:
    answer = PRODUCERS[name](as_ana, anas)
    (documented,) = (kind for kind in problem_types() if kind.name == name)
    assert (answer.json()["type"], answer.status_code) == (name, documented.status)


def test_the_schema_knows_exactly_the_types_of_the_code() -> None:
    assert get_resolver().url_patterns, "the classes are loaded by the URLs"
    assert [kind.name for kind in problem_types()] == PROBLEM_TYPES
    assert len(set(PROBLEM_TYPES)) == len(PROBLEM_TYPES)


def test_every_type_is_explained_in_the_description() -> None:
    for kind in problem_types():
        assert kind.when.endswith("."), f"{kind.name} has no docstring that says when it is answered"
        assert (
            f"| `{kind.name}` | {kind.status} | {kind.sentence} | {kind.when} |"
            in SCHEMA["info"]["description"]
        )


@pytest.mark.parametrize("language", ["ko", "ja"])
def test_every_sentence_is_translated(language: str) -> None:
    english = {kind.name: str(kind.sentence) for kind in problem_types()}
    with translation.override(language):
        assert [kind.name for kind in problem_types() if str(kind.sentence) == english[kind.name]] == []


def test_every_type_of_a_single_operation_is_named_there() -> None:
    named: set[str] = set()
    for answer in SCHEMA["components"]["responses"].values():
        named |= set(answer["x-problem-types"])
    assert named == set(PROBLEM_TYPES)
