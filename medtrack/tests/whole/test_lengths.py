"""Values that are far too long, in every field of every operation: refused before anything is done with each entry.

The work is counted in calls of functions, which is the same on every machine, and not in seconds.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rest_framework import serializers

from medtrack.http.requests import validated_data
from medtrack.tests.support.api import Client, resolved
from medtrack.tests.support.calls import OPERATIONS, Operation, body_of, path_of, send
from medtrack.tests.support.owned_objects import OwnedObjects, all_rows, owned_objects_of, undone
from users.actions import Credentials

MANY = 300_000
# What the largest valid request needs is a tenth of this; a function called once for each entry needs more.
MOST_CALLS = 100_000
MOST_BYTES = 20_000
LONG: dict[str, Any] = {
    "a list of zeros": [0] * MANY,
    "a list of lists": [[]] * MANY,
    "a text": "x" * MANY,
    "blanks": " " * MANY,
    "an object of many keys": {f"{number:x}": 0 for number in range(MANY // 4)},
    "an object with a long key": {"x" * MANY: 0},
    "a list in an object": {"days": [0] * (MANY // 2), "steps": [{}] * (MANY // 4)},
}
WITH_BODY = [operation for operation in OPERATIONS if operation.body]
SCHEDULES = ("createSchedule", "updateSchedule")
STRING_LIMITS = {"maxLength", "enum", "format", "pattern"}


@contextmanager
def counted_calls() -> Iterator[Callable[[], int]]:
    """How many functions were called inside, of Python and of C."""
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield lambda: calls
    finally:
        sys.setprofile(before)


@pytest.fixture
def anas(ana: Credentials) -> OwnedObjects:
    return owned_objects_of(ana)


def bodies(operation: Operation, valid: dict[str, Any], value: Any) -> Iterator[tuple[str, Any]]:
    """The valid body with one field of it replaced, and the value in place of the whole body."""
    yield "the whole body", value
    for field in (operation.body or {})["properties"]:
        yield field, valid | {field: value}


@pytest.mark.parametrize("name", LONG)
def test_a_value_that_is_far_too_long_is_refused_by_its_length(
    anas: OwnedObjects, subtests: pytest.Subtests, name: str
) -> None:
    client = Client(anas.credentials)
    for operation in WITH_BODY:
        path, valid = path_of(operation, anas), body_of(operation, anas) or {}
        with undone():  # what is loaded once, such as lists of common passwords, is not counted
            send(client, operation, path, valid)
        for field, body in bodies(operation, valid, LONG[name]):
            with subtests.test(f"{operation.id} {field}"), undone(), counted_calls() as calls:
                response = send(client, operation, path, body)
                assert calls() < MOST_CALLS
                assert response.status_code < 500
                assert len(response.content) < MOST_BYTES


@pytest.mark.parametrize("cycle_type", ["weekly", "interval", "monthly", "dates", "taper", "as_needed"])
@pytest.mark.parametrize("name", LONG)
def test_a_cycle_that_is_far_too_long_is_refused_by_its_length(
    anas: OwnedObjects, cycle_type: str, name: str
) -> None:
    before = all_rows()
    (operation,) = (one for one in OPERATIONS if one.id == "updateSchedule")
    values = [LONG[name], *({key: LONG[name]} for key in ("days", "every", "dates", "steps", "max_per_day"))]
    values += [{"steps": [LONG[name]]}, {"steps": [{"days": 1, "quantity": LONG[name]}]}]
    for value in values:
        with counted_calls() as calls:
            body = {"cycle_type": cycle_type, "cycle_value": value}
            response = send(Client(anas.credentials), operation, path_of(operation, anas), body)
            assert calls() < MOST_CALLS
        assert response.status_code == 400
        assert len(response.content) < MOST_BYTES
    assert all_rows() == before


def test_no_entry_of_a_list_that_is_too_long_is_looked_at() -> None:
    class Entry(serializers.IntegerField):
        looked_at = 0

        def run_validation(self, data: Any = serializers.empty) -> Any:
            Entry.looked_at += 1
            return super().run_validation(data)

    class Numbers(serializers.Serializer[Any]):
        numbers = serializers.ListField(child=Entry(), max_length=3)

    assert validated_data(Numbers, {"numbers": [1, 2, 3]}) == {"numbers": [1, 2, 3]}
    with pytest.raises(serializers.ValidationError) as refused:
        validated_data(Numbers, {"numbers": [1, 2, 3, 4]})
    assert refused.value.get_codes() == {"numbers": ["max_length"]}
    assert Entry.looked_at == 3


def test_blanks_around_a_text_do_not_count_where_they_are_trimmed() -> None:
    class Text(serializers.Serializer[Any]):
        text = serializers.CharField(max_length=3)

    assert validated_data(Text, {"text": "  abc  "}) == {"text": "abc"}
    with pytest.raises(serializers.ValidationError):
        validated_data(Text, {"text": " abcd "})


def strings_and_arrays(name: str, node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    node = resolved(node)
    for part in (part for of in ("anyOf", "allOf", "oneOf") for part in node.get(of, ())):
        yield from strings_and_arrays(name, part)
    for field, inner in node.get("properties", {}).items():
        yield from strings_and_arrays(f"{name}.{field}", inner)
    if node.get("type") == "array":
        yield from strings_and_arrays(f"{name}[]", node["items"])
    if node.get("type") in ("array", "string"):
        yield name, node


def test_every_array_and_text_of_a_request_has_a_documented_limit() -> None:
    found = [
        pair for operation in WITH_BODY for pair in strings_and_arrays(operation.id, operation.body or {})
    ]
    of_cycles = [f"{id}.cycle_value.{key}" for id in SCHEDULES for key in ("days", "days", "dates", "steps")]
    arrays = [name for name, node in found if node["type"] == "array"]
    assert sorted(arrays) == sorted([*of_cycles, "recordDoseEvents.events"])
    unlimited = [
        name
        for name, node in found
        if not ({"maxItems"} if node["type"] == "array" else STRING_LIMITS) & node.keys()
    ]
    assert unlimited == []
