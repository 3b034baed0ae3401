"""What every operation shares in OpenAPI: how it can fail, said once for all, and which of our words describe it."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.utils import translation
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions

from medtrack.http.limits import PersonLimits
from medtrack.http.person_limits import BEYOND
from medtrack.http.problems import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    Busy,
    ProblemType,
    RequestTooLarge,
    problem_type,
    problem_types,
)

F = TypeVar("F", bound=Callable[..., Any])

# Under this name an operation's problems and examples pass through drf-spectacular.
_OPERATION = "x-operation"
_STRING = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "required": ["detail", "status", "type", "request_id"],
    "properties": {
        "detail": {**_STRING, "description": "One sentence in the caller's language."},
        "status": {"type": "integer"},
        "type": {"$ref": "#/components/schemas/ProblemType"},
        "errors": {
            "type": "array",
            "description": "Of ValidationError: one per message.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {
                    "field": {**_STRING, "description": "Dotted when nested; empty for the body as a whole."},
                    "code": _STRING,
                    "detail": _STRING,
                },
            },
        },
        "next_allowed_at": {
            **_STRING,
            "format": "date-time",
            "description": "Of IntakeTooSoon and DailyLimitReached: the first instant at which an intake is allowed.",
        },
        "limit": {**_STRING, "description": "Of LimitReached and TooManyEdits: which one, as under Limits."},
        "number": {"type": "integer", "description": "Of LimitReached: how many there can be."},
        "sessions": {
            "type": "array",
            "description": "Of LimitReached at signing in: send the id of one as `end_session` to end it.",
            "items": {
                "type": "object",
                "required": ["id", "device_name", "last_used_at"],
                "properties": {
                    "id": {**_STRING, "format": "uuid"},
                    "device_name": _STRING,
                    "last_used_at": {**_STRING, "format": "date-time"},
                },
            },
        },
        "request_id": {**_STRING, "nullable": True},
    },
}
_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": _STRING,
    "description": "The ETag of the answer that the client has.",
}


@dataclass(frozen=True)
class Operation:
    """The problems that only this operation has, and its examples."""

    problems: tuple[type[exceptions.APIException], ...]
    request_example: Mapping[str, Any] | None
    response_example: Mapping[str, Any] | None


def documented(
    operation_id: str,
    summary: str,
    *problems: type[exceptions.APIException],
    request_example: Mapping[str, Any] | None = None,
    response_example: Mapping[str, Any] | None = None,
    **schema: Any,
) -> Callable[[F], F]:
    """`extend_schema` for an operation, with the problems that it has besides those of every operation.

    `schema` has the other arguments of `extend_schema`: `request`, `responses`, `parameters`, `description`, `tags`.
    """
    operation = Operation(problems, request_example, response_example)
    return extend_schema(
        operation_id=operation_id, summary=summary, extensions={_OPERATION: operation}, **schema
    )


class Schema(AutoSchema):
    """Docstrings of views are for us; `extend_schema` has the descriptions for clients."""

    def get_description(self) -> str:  # type: ignore[override]
        return get_doc(getattr(self.view, self.method.lower(), None))


class DeletionWithBody(Schema):
    """Of a DELETE that says more than its path. OpenAPI 3.0 gives that no meaning, and our clients send it."""

    def _get_request_body(self, direction: Any = "request") -> Any:
        method, self.method = self.method, "POST" if self.method == "DELETE" else self.method
        try:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.method = method


def describe(
    result: dict[str, Any], *, of_sessions: Collection[type[exceptions.APIException]]
) -> dict[str, Any]:
    """Adds the problems and examples to a generated schema; `of_sessions` are those of every authenticated operation."""
    components = result.setdefault("components", {})
    types = problem_types()
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["schemas"]["ProblemType"] = _STRING | {"enum": [kind.name for kind in types]}
    components["responses"] = {"Unexpected": _answer([BAD_REQUEST, *_anywhere(), INTERNAL_ERROR])}
    result["info"]["description"] += "\n\n" + _table(types) + "\n\n" + limits_table()
    for path in result["paths"].values():
        for generated in path.values():
            operation: Operation = generated.pop(_OPERATION)
            # `{}` is a security scheme without a name, for which generated clients still ask for a token.
            generated["security"] = [needed for needed in generated["security"] if needed]
            problems = [*_usual_problems(generated), *operation.problems]
            _add_problems(
                generated,
                dict.fromkeys([*problems, *(of_sessions if generated["security"] else ())]),
                components["responses"],
            )
            _add_examples(generated, operation)
    _add_links(result["paths"])
    return result


def _anywhere() -> list[ProblemType]:
    return [problem_type(kind) for kind in (exceptions.MethodNotAllowed, exceptions.NotAcceptable, Busy)]


def _table(types: Iterable[ProblemType]) -> str:
    with translation.override("en"):
        rows = [f"| `{kind.name}` | {kind.status} | {kind.sentence} | {kind.when} |" for kind in types]
    head = ["| type | status | sentence | when |", "|---|---|---|---|"]
    return "\n".join(
        ["## Problems", "", "Every error has this shape and one of these types.", "", *head, *rows]
    )


def limits_table() -> str:
    """The usual limits: the description is committed, and an operator's changes are not in it."""
    usual = PersonLimits()
    rows = [f"| `{name}` | {getattr(usual, name)} | {beyond} |" for name, beyond in BEYOND.items()]
    text = "What one person can have and do; the operator of a server may choose other numbers."
    never = "Answering doses, acknowledging pushes, refreshing and ending sessions, and registering a device have none."
    return "\n".join(
        ["## Limits", "", text, "", "| limit | most | beyond it |", "|---|---|---|", *rows, "", never]
    )


def _add_problems(
    generated: dict[str, Any], problems: Iterable[type[exceptions.APIException]], shared: dict[str, Any]
) -> None:
    """A status that several operations fail with in the same ways is described once."""
    by_status: dict[int, list[ProblemType]] = {}
    for raised in problems:
        kind = problem_type(raised)
        by_status.setdefault(kind.status, []).append(kind)
    answers = generated["responses"]
    if BAD_REQUEST.status in by_status:
        by_status[BAD_REQUEST.status].append(BAD_REQUEST)
    if Busy.status_code in by_status:
        by_status[Busy.status_code].append(problem_type(Busy))
    for status, kinds in sorted(by_status.items()):
        name = "Or".join(kind.name for kind in kinds)
        shared.setdefault(name, _answer(kinds))
        answers[str(status)] = {"$ref": f"#/components/responses/{name}"}
    answers["default"] = {"$ref": "#/components/responses/Unexpected"}


def _usual_problems(generated: Mapping[str, Any]) -> Iterable[type[exceptions.APIException]]:
    places = {parameter["in"] for parameter in generated.get("parameters", ())}
    if "requestBody" in generated:
        yield from (exceptions.ParseError, exceptions.ValidationError)
        yield from (RequestTooLarge, exceptions.UnsupportedMediaType)
    elif "query" in places:
        yield exceptions.ValidationError
    if "path" in places:
        yield exceptions.NotFound


def _answer(kinds: Iterable[ProblemType]) -> dict[str, Any]:
    names = [kind.name for kind in kinds]
    return {
        "description": " or ".join(f"`{name}`" for name in names),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "x-problem-types": names,
    }


def _add_examples(generated: dict[str, Any], operation: Operation) -> None:
    if operation.request_example:
        generated["requestBody"]["content"]["application/json"]["example"] = operation.request_example
    if operation.response_example:
        success = next(iter(generated["responses"].values()))
        success["content"]["application/json"]["example"] = operation.response_example


def _add_links(paths: Mapping[str, Any]) -> None:
    """From what was created or listed to what can be done with it: its `id` is the path's."""
    for path, methods in paths.items():
        collection = path.rsplit("/", 1)[-1]
        targets = [
            (generated["operationId"], method, found[1])
            for target_path, target_methods in paths.items()
            if (found := re.search(rf"/v1/{collection}/{{(\w+)}}", target_path))
            for method, generated in target_methods.items()
        ]
        for method, status, pointer in (("post", "201", "/id"), ("get", "200", "/results/0/id")):
            links = {
                id: {"operationId": id, "parameters": {name: f"$response.body#{pointer}"}}
                for id, of_target, name in targets
                if (method, of_target) != ("get", "delete")  # the first of a list is not the one to go
            }
            if links and status in methods.get(method, {}).get("responses", {}):
                methods[method]["responses"][status]["links"] = links


def add_revalidation(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """What is read out has an ETag, and is not sent again to whoever has it already."""
    for operations in result["paths"].values():
        if "get" in operations:
            operations["get"].setdefault("parameters", []).append(_IF_NONE_MATCH)
            operations["get"]["responses"]["200"].setdefault("headers", {})["ETag"] = {"schema": _STRING}
            operations["get"]["responses"]["304"] = {"description": "What the ETag stands for still holds."}
    return result
