"""Names that an operation does not know are refused, and what a client got may be sent back."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from rest_framework import serializers

from medtrack.http.fields import QuantityField
from medtrack.http.unknown_fields import refused_fields
from medtrack.tests.support.api import Client
from medtrack.tests.support.builders import person
from medtrack.tests.support.calls import OPERATIONS, Operation, body_of, call, path_of, send, with_query
from medtrack.tests.support.owned_objects import OwnedObjects, all_rows, owned_objects_of, undone
from users.actions import Credentials

WITH_BODY = [operation for operation in OPERATIONS if operation.body]
WITHOUT_BODY = [operation for operation in OPERATIONS if operation.writes and not operation.body]
# A long text, half a surrogate pair where the body may have one, and what could be taken for a path or a total.
STRANGE = ["x" * 100_000, "", "non_field_errors", "a.b", "\0", "복용", "__class__"]


@pytest.fixture
def anas(ana: Credentials) -> OwnedObjects:
    return owned_objects_of(ana)


def errors_of(response: Any) -> dict[str, str]:
    """Code by field."""
    assert response.status_code == 400, response.content
    return {error["field"]: error["code"] for error in response.json()["errors"]}


def detail_of(response: Any) -> str:
    (error,) = response.json()["errors"]
    return str(error["detail"])


def operation_of(id: str) -> Operation:
    return next(operation for operation in OPERATIONS if operation.id == id)


def test_every_operation_names_an_unknown_field(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client, before = Client(anas.credentials), all_rows()
    for operation in WITH_BODY:
        with subtests.test(operation.id):
            body = (body_of(operation, anas) or {}) | {"surprise": 1}
            response = send(client, operation, path_of(operation, anas), body)
            assert errors_of(response) == {"surprise": "unknown"}
            assert all(name in detail_of(response) for name in (operation.body or {})["properties"])
    assert all_rows() == before


def test_an_operation_without_a_body_takes_an_empty_one_only(
    anas: OwnedObjects, subtests: pytest.Subtests
) -> None:
    client, before = Client(anas.credentials), all_rows()
    for operation in WITHOUT_BODY:
        path = path_of(operation, anas)
        with subtests.test(operation.id):
            assert errors_of(send(client, operation, path, {"until": 1})) == {"until": "unknown"}
            assert errors_of(send(client, operation, path, ["until"])) == {"": "invalid"}
            assert all_rows() == before
        with subtests.test(f"{operation.id}: an empty one"), undone():
            assert send(client, operation, path, {}).status_code < 300


def test_every_operation_names_an_unknown_parameter(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client, before = Client(anas.credentials), all_rows()
    for operation in OPERATIONS:
        with subtests.test(operation.id):
            path = with_query(operation, anas, "surprise=1")
            response = send(client, operation, path, body_of(operation, anas))
            assert errors_of(response) == {"surprise": "unknown"}
            assert all(name in detail_of(response) for name in operation.query)
    assert all_rows() == before


def test_every_parameter_is_sent_once(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client = Client(anas.credentials)
    for operation in OPERATIONS:
        for name in operation.query:
            with subtests.test(f"{operation.id} {name}"):
                response = client.get(with_query(operation, anas, f"{name}=1&{name}=1"))
                assert errors_of(response)[name] == "repeated"


def test_parameters_of_a_list_are_not_those_of_adding_to_it(as_ana: Client) -> None:
    response = as_ana.post("/api/v1/medications?limit=5", {"name": "Metformin"}, format="json")
    assert errors_of(response) == {"limit": "unknown"}


def test_a_mistyped_parameter_is_reported_with_wrong_values(as_ana: Client) -> None:
    response = as_ana.get("/api/v1/doses?dat=2026-01-01&from=yesterday&status=taken&status=taken")
    assert errors_of(response) == {"dat": "unknown", "from": "invalid", "status": "repeated"}


def test_an_unknown_field_is_reported_with_wrong_values(as_ana: Client) -> None:
    body = {
        "quiet_hours": {"start_time": 5, "end_time": "25:00", "until": "07:00"},
        "follow_up_cap": 11,
        "private_push_text": "yes",
        "follow_up_interval_minutes": 10,
        "sound": "bell",
    }
    response = as_ana.put("/api/v1/notifications/settings", body, format="json")
    assert (
        errors_of(response).items()
        >= {
            "quiet_hours.start_time": "invalid",
            "quiet_hours.until": "unknown",
            "follow_up_cap": "max_value",
            "private_push_text": "invalid",
            "sound": "unknown",
        }.items()
    )


def test_a_nested_object_is_checked_when_all_else_is_right(as_ana: Client) -> None:
    body = {
        "quiet_hours": {"start_time": "22:00", "end_time": "07:00", "until": "07:00"},
        "follow_up_cap": 1,
        "private_push_text": True,
        "follow_up_interval_minutes": 10,
    }
    response = as_ana.put("/api/v1/notifications/settings", body, format="json")
    assert errors_of(response) == {"quiet_hours.until": "unknown"}


def test_the_first_wrong_object_of_a_list_is_named() -> None:
    class Step(serializers.Serializer[Any]):
        days = serializers.IntegerField()

    class Steps(serializers.Serializer[Any]):
        steps = serializers.ListField(child=Step(), max_length=3)
        more = Step(many=True)

    wrong = {"days": 1, "hours": 2}
    errors = refused_fields(Steps(), {"steps": [{"days": 1}, wrong, wrong], "more": [wrong]})
    assert {(name, index) for name, found in errors.items() for index in found} == {("steps", 1), ("more", 0)}
    assert refused_fields(Steps(), {"steps": [wrong] * 4}) == {}


@pytest.mark.parametrize(
    ("operation", "name", "place"),
    [
        ("updateMe", "password", "/auth/password/change"),
        ("updateMe", "quiet_hours", "/notifications/settings"),
        ("updateMedication", "paused_at", "/pause"),
        ("createMedication", "scheduled_time", "/schedules"),
        ("updateSchedule", "dosage", "PATCH /api/v1/medications/"),
        ("takeDose", "status", "/skip"),
        ("takeDose", "taken_at", "occurred_at"),
        ("snoozeDose", "snoozed_until", "minutes"),
        ("logIntake", "occurred_at", "taken_at"),
    ],
)
def test_a_name_that_belongs_elsewhere_says_where(
    anas: OwnedObjects, operation: str, name: str, place: str
) -> None:
    wanted = operation_of(operation)
    body = (body_of(wanted, anas) or {}) | {name: "2026-01-01T00:00:00Z"}
    response = send(Client(anas.credentials), wanted, path_of(wanted, anas), body)
    assert errors_of(response).keys() == {name}
    assert place in detail_of(response)


def test_every_place_that_a_message_names_exists() -> None:
    operations = {re.sub(r"{\w+}", "{id}", f"{one.method} {one.path}") for one in OPERATIONS}
    found = [
        serializer for serializer in descendants(serializers.Serializer) if hasattr(serializer, "elsewhere")
    ]
    assert len(found) > 10
    for serializer in found:
        for place in serializer.elsewhere.values():
            first, *others = place.split(", ")
            places = {first, *(first.rsplit("/", 1)[0] + other for other in others)}
            assert places <= operations or place in serializer().fields, place


def descendants(base: Any) -> list[Any]:
    return [one for child in base.__subclasses__() for one in (child, *descendants(child))]


def read(client: Client, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.get(f"/api/v1/{path}").json()
    return answer


def test_a_profile_that_was_read_can_be_sent_back(as_ana: Client) -> None:
    body = read(as_ana, "me") | {"name": "Anna"}
    response = as_ana.patch("/api/v1/me", body, format="json")
    assert response.status_code == 200, response.content
    # Its answer, with `moved_doses`, too.
    assert (
        as_ana.patch("/api/v1/me", response.json() | {"name": "Ana"}, format="json").json()["name"] == "Ana"
    )


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("medications/{medication.id}", {"name": "Metformin XR"}),
        ("schedules/{schedule.id}", {"scheduled_time": "06:30"}),
    ],
)
def test_an_object_that_was_read_can_be_sent_back(
    anas: OwnedObjects, path: str, change: dict[str, Any]
) -> None:
    client, path = Client(anas.credentials), path.format(**vars(anas))
    body = read(client, path)
    response = client.patch(f"/api/v1/{path}", body | change, format="json")
    assert response.status_code == 200, response.content
    assert response.json().items() >= change.items()
    # Its answer, too.
    assert client.patch(f"/api/v1/{path}", response.json(), format="json").status_code == 200


def test_settings_that_were_read_can_be_sent_back(as_ana: Client) -> None:
    body = read(as_ana, "notifications/settings") | {"follow_up_cap": 7}
    response = as_ana.put("/api/v1/notifications/settings", body, format="json")
    assert response.json() == body


def test_a_device_that_was_read_can_be_registered_again(anas: OwnedObjects) -> None:
    client = Client(anas.credentials)
    device = next(one for one in read(client, "devices")["results"] if one["id"] == str(anas.device.id))
    body = device | {"token": anas.device.token, "app_version": "9.9"}
    response = client.post("/api/v1/devices", body, format="json")
    assert (response.status_code, response.json()["app_version"]) == (200, "9.9")


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("me", {"id": str(uuid4()), "email": "other@example.com", "provider": "google", "created_at": None}),
        ("me", {"email_verified_at": "2026-01-01T00:00:00Z"}),
        ("medications/{medication.id}", {"id": str(uuid4()), "created_at": "2026-01-01T00:00:00Z"}),
        ("medications/{medication.id}", {"paused_at": "2026-01-01T00:00:00Z"}),
        ("schedules/{schedule.id}", {"medication_id": str(uuid4()), "id": 5, "created_at": [[]]}),
    ],
)
def test_a_field_that_is_only_read_does_not_change(
    anas: OwnedObjects, path: str, changes: dict[str, Any]
) -> None:
    client, path, before = Client(anas.credentials), path.format(**vars(anas)), all_rows()
    response = client.patch(f"/api/v1/{path}", read(client, path) | changes, format="json")
    assert errors_of(response) == dict.fromkeys(changes, "read_only")
    assert all_rows() == before


@pytest.mark.parametrize(
    ("path", "names"), [("medications", ["created_at"]), ("schedules", ["medication_id"])]
)
def test_a_new_object_has_no_fields_that_are_only_read(
    anas: OwnedObjects, path: str, names: list[str]
) -> None:
    client = Client(anas.credentials)
    if path == "schedules":
        path = f"medications/{anas.medication.id}/schedules"
    old = read(client, path)["results"][0]
    body = {"name": "Aspirin", "scheduled_time": "08:00"}
    wanted = operation_of("createSchedule" if "schedules" in path else "createMedication")
    body = {name: value for name, value in body.items() if name in (wanted.body or {})["properties"]}
    response = client.post(f"/api/v1/{path}", body | {name: old[name] for name in names}, format="json")
    assert errors_of(response) == dict.fromkeys(names, "read_only")
    assert client.post(f"/api/v1/{path}", body | {"updated_at": "then"}, format="json").status_code == 201


def test_computed_fields_are_accepted_with_any_value(anas: OwnedObjects) -> None:
    client = Client(anas.credentials)
    for path, computed in (
        ("me", ["moved_doses"]),
        (f"medications/{anas.medication.id}", ["updated_at"]),
        (f"schedules/{anas.schedule.id}", ["updated_at", "next_due_at"]),
    ):
        body = dict.fromkeys(computed, "2001-01-01T00:00:00Z")
        before = read(client, path)
        assert client.patch(f"/api/v1/{path}", body, format="json").status_code == 200
        after = read(client, path)
        assert before | {"updated_at": 0} == after | {"updated_at": 0}


def of_offset(text: str) -> str:
    at = datetime.fromisoformat(text).astimezone(timezone(timedelta(hours=9)))
    return at.isoformat()


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("created_at", of_offset),
        ("created_at", lambda text: text.replace("Z", "+00:00")),
        ("created_at", lambda text: f"{text[:19]}Z"),
        ("created_at", lambda text: f"{text[:23]}Z"),
        ("id", str.upper),
    ],
)
def test_a_value_in_another_form_is_the_same_value(
    anas: OwnedObjects, field: str, written: Callable[[str], str]
) -> None:
    client, path = Client(anas.credentials), f"medications/{anas.medication.id}"
    body = {field: written(read(client, path)[field])}
    assert client.patch(f"/api/v1/{path}", body, format="json").status_code == 200


@pytest.mark.parametrize(
    ("offered", "is_same"),
    [("1.0", True), ("1", True), ("01.000", True), ("1.5", False), (1, False), (True, False)],
)
def test_amounts_are_compared_as_numbers(offered: object, is_same: bool) -> None:
    class Stock(serializers.Serializer[Any]):
        quantity = QuantityField()

    class Nothing(serializers.Serializer[Any]):
        pass

    errors = refused_fields(Nothing(), {"quantity": offered}, output=Stock(), present={"quantity": 1})
    assert (not errors) is is_same


def test_a_value_is_compared_as_it_is_shown() -> None:
    class Pause(serializers.Serializer[Any]):
        paused_at = serializers.CharField()

        def to_representation(self, instance: object) -> dict[str, Any]:
            return super().to_representation(instance) | {"paused_at": None}  # It is over.

    class Nothing(serializers.Serializer[Any]):
        pass

    paused = {"paused_at": "2026-01-01T00:00:00Z"}
    assert refused_fields(Nothing(), {"paused_at": None}, output=Pause(), present=paused) == {}
    assert refused_fields(Nothing(), paused, output=Pause(), present=paused).keys() == {"paused_at"}


@pytest.mark.parametrize(
    ("offered", "is_same"), [(1, True), (1.0, True), (True, False), ("1", False), (None, False)]
)
def test_a_number_is_no_truth_value(offered: object, is_same: bool) -> None:
    class Count(serializers.Serializer[Any]):
        count = serializers.IntegerField()

    class Nothing(serializers.Serializer[Any]):
        pass

    errors = refused_fields(Nothing(), {"count": offered}, output=Count(), present={"count": 1})
    assert (not errors) is is_same


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_name_is_echoed_shortly(as_ana: Client, name: str) -> None:
    response = as_ana.patch("/api/v1/me", {name: 1}, format="json")
    (error,) = response.json()["errors"]
    assert error["code"] == "unknown"
    assert len(error["field"]) <= 50
    assert f"“{name[:49]}" in error["detail"]
    assert len(response.content) < 1000


def test_twenty_of_many_names_are_listed(as_ana: Client) -> None:
    body = {f"{number:05}": number for number in range(10_000)}
    response = as_ana.patch("/api/v1/me", body | {"language": "tlh"}, format="json")
    codes = list(errors_of(response).values())
    assert (codes.count("unknown"), codes.count("invalid_choice")) == (20, 1)


def test_half_a_surrogate_pair_is_replaced(as_ana: Client) -> None:
    response = as_ana.generic(
        "POST", "/api/v1/doses/events", '{"events": [], "\\udc8a": 1}', content_type="application/json"
    )
    assert errors_of(response) == {"?": "unknown"}


def test_a_query_of_nonsense_is_refused_in_short(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client = Client(anas.credentials)
    for operation in OPERATIONS:
        for query in ("a=1&a=2", "%00=%00", "%c3%28=%ff", "a[b]=c&;&&=", "x" * 100_000, "=1"):
            with subtests.test(f"{operation.id} {query[:9]}"):
                path = with_query(operation, anas, query)
                response = send(client, operation, path, body_of(operation, anas))
                assert set(errors_of(response).values()) == {"unknown"}
                assert len(response.content) < 2000


def test_nobody_learns_names_without_a_session(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    for operation in OPERATIONS:
        if not operation.is_open:
            with subtests.test(operation.id):
                path = with_query(operation, anas, "surprise=1")
                assert send(Client(), operation, path, {"surprise": 1}).status_code == 401


def test_a_session_that_ended_is_refused_first(anas: OwnedObjects, subtests: pytest.Subtests) -> None:
    client = Client(anas.credentials)
    call(client, operation_of("logOut"), anas)
    for operation in OPERATIONS:
        if not operation.is_open:
            with subtests.test(operation.id):
                path = with_query(operation, anas, "surprise=1")
                assert send(client, operation, path, {"surprise": 1}).json()["type"] == "SessionEnded"


def test_what_is_not_mine_is_not_found_before_its_fields_are_read(anas: OwnedObjects) -> None:
    stranger = Client(person("Cleo"))
    for id in ("updateMedication", "updateSchedule", "createSchedule"):
        operation = operation_of(id)
        response = send(stranger, operation, path_of(operation, anas), {"surprise": 1})
        assert response.status_code == 404


def test_the_message_is_in_the_callers_language(anas: OwnedObjects) -> None:
    client = Client(anas.credentials)
    client.patch("/api/v1/me", {"language": "ja"}, format="json")
    for path in ("doses", "medications"):
        assert "パラメータ" in detail_of(client.get(f"/api/v1/{path}?dat=1"))
    korean = client.get("/api/v1/doses?dat=1", HTTP_ACCEPT_LANGUAGE="ko")
    assert "매개변수" in detail_of(korean)


def test_an_event_is_not_refused_for_a_name(anas: OwnedObjects) -> None:
    operation = operation_of("recordDoseEvents")
    body = body_of(operation, anas) or {}
    body["events"][0]["surprise"] = 1
    response = send(Client(anas.credentials), operation, path_of(operation, anas), body)
    assert [one["status"] for one in response.json()["results"]] == ["applied"]


def test_paths_outside_the_api_take_any_parameter(as_ana: Client) -> None:
    assert as_ana.get("/livez?surprise=1").status_code == 200
    assert as_ana.get("/api/schema/?surprise=1").status_code == 200
