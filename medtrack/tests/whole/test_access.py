"""Who may do what: every operation of the schema, tried by its owner and by everybody else."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from medtrack.database.clock import database_now
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import PASSWORD, person, session_of
from medtrack.tests.support.calls import OPERATIONS, Operation, body_of, call, path_of, send
from medtrack.tests.support.owned_objects import (
    CANARY,
    OwnedObjects,
    Rows,
    all_rows,
    owned_objects_of,
    undone,
)
from users.actions import Credentials, log_in, log_out
from users.models import User
from users.tokens import access_token

# An id that a client makes up is taken when anybody has it; any other must name something of the caller's.
MADE_UP = {"id", "event_id"}
SIGNED_IN = [operation for operation in OPERATIONS if not operation.is_open]


@pytest.fixture
def anas(ana: Credentials) -> OwnedObjects:
    return owned_objects_of(ana)


def test_the_owner_may_do_everything(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    heard = ""
    for operation in OPERATIONS:
        with subtests.test(operation.id), undone():
            response = call(Client(anas.credentials), operation, anas)
            assert response.status_code < 300, response.content
            heard += response.content.decode()
    words = ("person", "medicine", "dosage", "memo", "unit", "strength", "note", "install", "version")
    assert not [word for word in words if f"{CANARY}{word}" not in heard], "no answer could have leaked these"


@pytest.mark.parametrize("is_staff", [False, True])
def test_a_stranger_finds_nothing_and_changes_nothing(
    anas: OwnedObjects, subtests: pytest.Subtests, is_staff: bool
) -> None:
    owned = all_rows()
    cleo = person("Cleo")
    cleos = owned_objects_of(cleo, "zzstranger")
    User.objects.filter(id=cleo.user.id).update(is_staff=is_staff, is_superuser=is_staff)
    stranger = Client(cleo)
    for operation in OPERATIONS:
        with subtests.test(operation.id), undone():
            response = call(stranger, operation, cleos)
            assert response.status_code < 300, response.content
            assert_nothing_of_anas(response, owned)
        if operation.path_ids:
            with subtests.test(f"{operation.id}: a foreign path"), undone():
                response = send(stranger, operation, path_of(operation, anas), body_of(operation, cleos))
                assert response.status_code == 404
                assert_nothing_of_anas(response, owned)
        for field in operation.body_ids:
            with subtests.test(f"{operation.id}: a foreign {field}"), undone():
                before = all_rows()
                body = (body_of(operation, cleos) or {}) | {field: foreign_id(operation, field, anas)}
                response = send(stranger, operation, path_of(operation, cleos), body)
                # An event that is not the latest answer to the caller's own dose is superseded.
                superseded = 200 if field == "undoes" else 404
                assert response.status_code == (409 if field in MADE_UP else superseded)
                assert CANARY not in response.content.decode()
                # The id of the caller's own event is remembered all the same.
                kept = {key: row for key, row in all_rows().items() if key[0] != "idempotency_keys"}
                assert (kept if field == "undoes" else all_rows()) == {
                    key: row for key, row in before.items() if key in kept or field != "undoes"
                }


def foreign_id(operation: Operation, field: str, anas: OwnedObjects) -> str:
    if field in ("event_id", "undoes"):
        return str(anas.taken.events.get().id)
    if field == "id":
        made: dict[str, Any] = {
            "createMedication": anas.medication,
            "cloneMedication": anas.medication,
            "createSchedule": anas.schedule,
            "logIntake": anas.intake,
            "createTrip": anas.trip,
        }
        return str(made[operation.id].id)
    if field == "end_session":
        return str(session_of(anas.user).id)
    return str((body_of(operation, anas) or {})[field])


def assert_nothing_of_anas(response: Any, owned: Rows) -> None:
    assert CANARY not in response.content.decode()
    now = all_rows()
    assert {key: now.get(key) for key in owned} == owned


@pytest.fixture(params=["a revoked session", "an expired token", "somebody else's signature", "no token"])
def outsider(request: pytest.FixtureRequest, anas: OwnedObjects) -> Client:
    """Somebody with what is left of Ana's sign-in."""
    client, session = Client(), session_of(anas.user)
    now = timezone.now()
    old = access_token(user_id=anas.user.id, session_id=session.id, now=now - timedelta(days=1))
    if request.param == "a revoked session":
        ended = log_in(email=anas.user.email or "", password=PASSWORD, now=now)
        log_out(session_id=session_of(anas.user).id, now=database_now())
        client = Client(ended)
    elif request.param == "an expired token":
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {old}")
    elif request.param == "somebody else's signature":
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {anas.credentials.access[:-4]}AAAA")
    return client


def test_without_a_living_session_nothing_is_said_and_nothing_changes(
    anas: OwnedObjects, outsider: Client, subtests: pytest.Subtests
) -> None:
    before = all_rows()
    for operation in SIGNED_IN:
        with subtests.test(operation.id):
            response = call(outsider, operation, anas)
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="medtrack"'
            assert CANARY not in response.content.decode()
            assert all_rows() == before


def test_signing_in_needs_no_session(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    stale = Client()
    stale.credentials(HTTP_AUTHORIZATION="Bearer stale")
    for operation in OPERATIONS:
        if operation.is_open:
            with subtests.test(operation.id), undone():
                assert call(stale, operation, anas).status_code < 300
