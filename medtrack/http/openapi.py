"""Adds to the OpenAPI schema what drf-spectacular does not generate: problems, limits, links, ETags,
examples. What an operation does not document, it refuses.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from django.utils import translation
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

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
from medtrack.http.undocumented import refuse_body, refuse_unknown_query

F = TypeVar("F", bound=Callable[..., Any])

# drf-spectacular copies extensions to the generated operation, where `describe` finds the Operation under
# this name.
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
            "description": "Of ValidationError: one for each message.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {
                    "field": {
                        **_STRING,
                        "description": "The path of a nested field is joined by dots; empty for the whole body.",
                    },
                    "code": _STRING,
                    "detail": _STRING,
                },
            },
        },
        "next_allowed_at": {
            **_STRING,
            "format": "date-time",
            "description": "Of IntakeTooSoon and DailyLimitReached: when the next intake is allowed.",
        },
        "due_at": {
            **_STRING,
            "format": "date-time",
            "description": "Of TooEarly: when the dose is due.",
        },
        "earliest_at": {
            **_STRING,
            "format": "date-time",
            "description": "Of TooEarly: from when on it needs no `override`.",
        },
        "last_taken_at": {
            **_STRING,
            "format": "date-time",
            "nullable": True,
            "description": "Of TooEarly: when the schedule's last dose was taken.",
        },
        "dose_status": {**_STRING, "description": "Of InvalidTransition: the status of the dose."},
        "recorded": {
            "type": "object",
            "required": ["status", "occurred_at", "quantity", "reason", "note", "recorded_by"],
            "description": "Of AlreadyRecorded: what is recorded, by whom and when.",
            "properties": {
                "status": _STRING,
                "occurred_at": {**_STRING, "format": "date-time", "nullable": True},
                "quantity": {**_STRING, "nullable": True},
                "reason": _STRING,
                "note": _STRING,
                "recorded_by": {**_STRING, "format": "uuid", "nullable": True},
            },
        },
        "limit": {
            **_STRING,
            "description": "Of LimitReached and TooManyEdits: the name of the limit, see Limits.",
        },
        "number": {"type": "integer", "description": "Of LimitReached: the value of the limit."},
        "trip_id": {
            **_STRING,
            "format": "uuid",
            "description": "Of TripsOverlap: the other trip.",
        },
        "sessions": {
            "type": "array",
            "description": "Of LimitReached when signing in: the sessions of which one can be ended by `end_session`.",
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
        "current": {
            "type": "object",
            "additionalProperties": True,
            "description": "Of Changed: the object as it is now, as reading it shows it.",
        },
        "request_id": {**_STRING, "nullable": True},
    },
}
_IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": _STRING,
    "description": "The ETag of the response that the client has cached.",
}


@dataclass(frozen=True)
class Operation:
    """The problems that an operation has besides the common ones, and its examples."""

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
    """Documents a view's method, and refuses parameters that are not documented, and a body if none is.

    `problems` are the exceptions that it raises besides the common ones. `schema` are further arguments of
    `extend_schema`: `request`, `responses`, `parameters`, `description`, `tags`.
    """
    operation = Operation(problems, request_example, response_example)
    extended = extend_schema(
        operation_id=operation_id, summary=summary, extensions={_OPERATION: operation}, **schema
    )
    parameters = schema.get("parameters", ())
    takes_body = schema.get("request") is not None

    def decorate(method: F) -> F:
        @wraps(method)
        def strict(view: APIView, request: Request, *args: Any, **kwargs: Any) -> Response:
            refuse_unknown_query(view, request, parameters)
            if not takes_body:
                refuse_body(view, request)
            response: Response = method(view, request, *args, **kwargs)
            return response

        return cast(F, extended(strict))

    return decorate


class Schema(AutoSchema):
    """Takes descriptions from `documented` only. Docstrings of views are not for clients."""

    def get_description(self) -> str:  # type: ignore[override]
        return get_doc(getattr(self.view, self.method.lower(), None))

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> dict[str, Any]:
        described: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if direction == "request" and not getattr(serializer, "takes_unknown_fields", False):
            described["additionalProperties"] = False
        return described


class DeletionWithBody(Schema):
    """For a DELETE with a request body, which drf-spectacular omits: OpenAPI 3.0 gives it no meaning."""

    def _get_request_body(self, direction: Any = "request") -> Any:
        method, self.method = self.method, "POST" if self.method == "DELETE" else self.method
        try:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.method = method


def describe(
    result: dict[str, Any], *, of_sessions: Collection[type[exceptions.APIException]]
) -> dict[str, Any]:
    """Adds problems and examples to a generated schema. Returns the schema.

    `of_sessions` are the problems of every operation that needs an access token.
    """
    components = result.setdefault("components", {})
    types = problem_types()
    components.setdefault("schemas", {})["Problem"] = _PROBLEM
    components["schemas"]["ProblemType"] = _STRING | {"enum": [kind.name for kind in types]}
    # Every operation can fail in these ways.
    raised = (exceptions.MethodNotAllowed, exceptions.NotAcceptable, Busy)
    common = [BAD_REQUEST, *map(problem_type, raised), INTERNAL_ERROR]
    components["responses"] = {"Unexpected": _problem_response(common)}
    result["info"]["description"] += "\n\n" + _problems_table(types) + "\n\n" + limits_table()
    for path in result["paths"].values():
        for method, generated in path.items():
            operation: Operation = generated.pop(_OPERATION)
            # `{}` is a security scheme without a name, for which generated clients still ask for a token.
            generated["security"] = [scheme for scheme in generated["security"] if scheme]
            problems = [*_usual_problems(generated, writes=method != "get"), *operation.problems]
            _add_problems(
                generated,
                dict.fromkeys([*problems, *(of_sessions if generated["security"] else ())]),
                components["responses"],
            )
            if operation.request_example:
                body = generated["requestBody"]["content"]["application/json"]
                body["example"] = operation.request_example
            if operation.response_example:
                success = next(iter(generated["responses"].values()))
                success["content"]["application/json"]["example"] = operation.response_example
    _add_links(result["paths"])
    return result


def _problems_table(types: Iterable[ProblemType]) -> str:
    with translation.override("en"):
        rows = [f"| `{kind.name}` | {kind.status} | {kind.sentence} | {kind.when} |" for kind in types]
    head = ["| type | status | detail | when |", "|---|---|---|---|"]
    return "\n".join(
        [
            "## Problems",
            "",
            "All error responses have the schema `Problem` and one of these types.",
            "",
            *head,
            *rows,
        ]
    )


def limits_table() -> str:
    """Returns the default limits. A server may have others, but the description is committed."""
    usual = PersonLimits()
    rows = [f"| `{name}` | {getattr(usual, name)} | {beyond} |" for name, beyond in BEYOND.items()]
    text = "How much a user can have and do. A server may have other limits."
    without_limit = (
        "There are no limits on recording doses, acknowledging pushes, registering a device, and refreshing "
        "and ending sessions."
    )
    return "\n".join(
        [
            "## Limits",
            "",
            text,
            "",
            "| limit | default | beyond the limit |",
            "|---|---|---|",
            *rows,
            "",
            without_limit,
        ]
    )


def _add_problems(
    generated: dict[str, Any], problems: Iterable[type[exceptions.APIException]], shared: dict[str, Any]
) -> None:
    """Adds a response for each status. Operations with the same problems share a component."""
    by_status: dict[int, list[ProblemType]] = {}
    for raised in problems:
        kind = problem_type(raised)
        by_status.setdefault(kind.status, []).append(kind)
    responses = generated["responses"]
    if BAD_REQUEST.status in by_status:
        by_status[BAD_REQUEST.status].append(BAD_REQUEST)
    if Busy.status_code in by_status:
        by_status[Busy.status_code].append(problem_type(Busy))
    for status, kinds in sorted(by_status.items()):
        name = "Or".join(kind.name for kind in kinds)
        shared.setdefault(name, _problem_response(kinds))
        responses[str(status)] = {"$ref": f"#/components/responses/{name}"}
    responses["default"] = {"$ref": "#/components/responses/Unexpected"}


def _usual_problems(generated: Mapping[str, Any], *, writes: bool) -> Iterable[type[exceptions.APIException]]:
    if writes:
        yield from (exceptions.ParseError, exceptions.ValidationError)
        yield from (RequestTooLarge, exceptions.UnsupportedMediaType)
    else:
        yield exceptions.ValidationError
    if any(parameter["in"] == "path" for parameter in generated.get("parameters", ())):
        yield exceptions.NotFound


def _problem_response(kinds: Iterable[ProblemType]) -> dict[str, Any]:
    names = [kind.name for kind in kinds]
    return {
        "description": " or ".join(f"`{name}`" for name in names),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "x-problem-types": names,
    }


def _add_links(paths: Mapping[str, Any]) -> None:
    """Links creating and listing objects to the operations on one object, by its `id`."""
    for path, methods in paths.items():
        collection = path.rsplit("/", 1)[-1]
        targets = [
            (generated["operationId"], method, match[1])
            for target_path, target_methods in paths.items()
            if (match := re.search(rf"/v1/{collection}/{{(\w+)}}", target_path))
            for method, generated in target_methods.items()
        ]
        for method, status, pointer in (("post", "201", "/id"), ("get", "200", "/results/0/id")):
            links = {
                id: {"operationId": id, "parameters": {name: f"$response.body#{pointer}"}}
                for id, of_target, name in targets
                if (method, of_target) != ("get", "delete")  # a client that follows links must not delete
            }
            if links and status in methods.get(method, {}).get("responses", {}):
                methods[method]["responses"][status]["links"] = links


def add_etags(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Documents the ETag of every GET, and 304 for a matching If-None-Match."""
    for operations in result["paths"].values():
        if "get" in operations:
            operations["get"].setdefault("parameters", []).append(_IF_NONE_MATCH)
            operations["get"]["responses"]["200"].setdefault("headers", {})["ETag"] = {"schema": _STRING}
            operations["get"]["responses"]["304"] = {"description": "The cached response is up to date."}
    return result
