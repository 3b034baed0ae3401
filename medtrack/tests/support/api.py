"""An API client for tests that checks every JSON answer against the committed schema."""

import re
from typing import Any

import yaml
from jsonschema import Draft4Validator, FormatChecker
from rest_framework.test import APIClient

from medtrack.api.documentation import SCHEMA_FILE
from users.actions import Credentials


def _json_schema(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema."""
    if isinstance(node, list):
        return [_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    converted = {key: _json_schema(value) for key, value in node.items()}
    return {"anyOf": [converted, {"type": "null"}]} if converted.pop("nullable", False) else converted


SCHEMA = _json_schema(yaml.safe_load(SCHEMA_FILE.read_text()))
UNEXPECTED = SCHEMA["components"]["responses"]["Unexpected"]
PROBLEM_TYPES = SCHEMA["components"]["schemas"]["ProblemType"]["enum"]
_PATHS = [
    (re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "$"), path)
    for path in sorted(SCHEMA["paths"], key=lambda path: path.count("{"))
]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The node itself, or what it refers to."""
    while "$ref" in node:
        found: Any = SCHEMA
        for name in node["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        node = found
    return node


def assert_in_schema(method: str, path: str, status: int, body: Any) -> None:
    """Fails when the operation does not document this answer; a path outside the schema answers problems."""
    template = next((template for pattern, template in _PATHS if pattern.match(path)), None)
    operation = SCHEMA["paths"].get(template, {}).get(method.lower(), {})
    answers = operation.get("responses", {})
    answer = resolved(answers.get(str(status)) or answers.get("default") or UNEXPECTED)
    if "x-problem-types" in answer:
        documented = answer["x-problem-types"] if operation else PROBLEM_TYPES
        assert body["type"] in documented, f"{method} {path} documents no {body['type']}"
    if "content" not in answer:
        assert body is None, f"{method} {path} documents no body for {status}"
        return
    schema = answer["content"]["application/json"]["schema"]
    Draft4Validator({**schema, "components": SCHEMA["components"]}, format_checker=FormatChecker()).validate(
        body
    )


class Client(APIClient):
    """Signed in as the user of the credentials, or not signed in."""

    def __init__(self, credentials: Credentials | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if credentials:
            self.credentials(HTTP_AUTHORIZATION=f"Bearer {credentials.access}")

    def generic(self, method: str, path: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().generic(method, path, *args, **kwargs)
        if path.startswith("/api/v1/") and method != "HEAD":
            body = response.json() if response.content else None
            assert_in_schema(method, path.split("?")[0], response.status_code, body)
        return response
