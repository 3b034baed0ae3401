"""The committed schema is the one that the code generates, and says of every operation what a client must know."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from jsonschema import Draft4Validator, FormatChecker

from medtrack.api.documentation import SCHEMA_FILE, TAGS
from medtrack.api.routes import ROUTES
from medtrack.tests.support.api import SCHEMA, resolved

METHODS_AND_OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    pair for path in SCHEMA["paths"].values() for pair in path.items()
]
OPERATIONS_OF_SCHEMA = [operation for _method, operation in METHODS_AND_OPERATIONS]
WITH_BODY = [operation for operation in OPERATIONS_OF_SCHEMA if "requestBody" in operation]


def media(described: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = described["content"]["application/json"]
    return found


EXAMPLES = [
    (f"{operation['operationId']} {which}", media(described))
    for operation in OPERATIONS_OF_SCHEMA
    for which, described in {"request": operation.get("requestBody", {}), **operation["responses"]}.items()
    if "example" in described.get("content", {}).get("application/json", {})
]


def test_the_committed_schema_is_up_to_date() -> None:
    output = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=output)
    assert output.getvalue().strip() == SCHEMA_FILE.read_text().strip()


def test_every_route_is_documented_and_every_operation_has_an_id_of_its_own() -> None:
    assert len(SCHEMA["paths"]) == len(ROUTES)
    ids = [operation["operationId"] for operation in OPERATIONS_OF_SCHEMA]
    methods = [getattr(view, method, None) for view in ROUTES.values() for method in view.http_method_names]
    assert len(ids) == len([method for method in methods if method]) - len(
        ROUTES
    )  # OPTIONS is not documented
    assert sorted(set(ids)) == sorted(ids)
    assert not [id for id in ids if "_" in id]


def test_every_operation_is_summed_up_and_has_a_known_tag_and_its_security() -> None:
    for operation in OPERATIONS_OF_SCHEMA:
        id = operation["operationId"]
        assert 5 < len(operation["summary"]) < 60, id
        assert not operation["summary"].endswith("."), id
        assert len(operation["tags"]) == 1, id
        assert operation["security"] in ([], [{"bearer": []}]), id
    assert {operation["tags"][0] for operation in OPERATIONS_OF_SCHEMA} == set(TAGS)


def test_every_operation_says_how_it_fails() -> None:
    for method, operation in METHODS_AND_OPERATIONS:
        places = {parameter["in"] for parameter in operation.get("parameters", ())}
        expected = {"default", "400"}  # a parameter that no operation knows
        if operation["security"]:
            expected.add("401")
        if "path" in places:
            expected.add("404")
        if method != "get":
            expected |= {"413", "415"}
        assert operation["responses"].keys() >= expected, operation["operationId"]
        for status, answer in operation["responses"].items():
            if status == "default" or status >= "400":
                assert media(resolved(answer))["schema"] == {"$ref": "#/components/schemas/Problem"}


@pytest.mark.parametrize(("name", "described"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_every_example_is_of_its_schema(name: str, described: dict[str, Any]) -> None:
    schema = {**described["schema"], "components": SCHEMA["components"]}
    Draft4Validator(schema, format_checker=FormatChecker()).validate(described["example"])
    shape = resolved(described["schema"])
    known = [resolved(one)["properties"].keys() for one in shape.get("oneOf", [shape])]
    assert any(described["example"].keys() <= names for names in known)


def test_the_main_operations_have_examples() -> None:
    assert len(EXAMPLES) > 20
