"""What every operation shares in OpenAPI: any of them can answer with a problem."""

from typing import Any

from drf_spectacular.openapi import AutoSchema

_STRING = {"type": "string"}
PROBLEM = {
    "type": "object",
    "required": ["detail", "status", "type", "request_id"],
    "properties": {
        "detail": {**_STRING, "description": "One sentence in the caller's language."},
        "status": {"type": "integer"},
        "type": _STRING,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {"field": _STRING, "code": _STRING, "detail": _STRING},
            },
        },
        "next_allowed_at": {
            **_STRING,
            "format": "date-time",
            "description": "Of IntakeTooSoon and DailyLimitReached: the first instant at which an intake is allowed.",
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
_ANSWER = {
    "description": "A problem",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


class DeletionWithBody(AutoSchema):
    """Of a DELETE that says more than its path. OpenAPI 3.0 gives that no meaning, and our clients send it."""

    def _get_request_body(self, direction: Any = "request") -> Any:
        method, self.method = self.method, "POST" if self.method == "DELETE" else self.method
        try:
            return super()._get_request_body(direction)  # type: ignore[no-untyped-call]
        finally:
            self.method = method


def add_problem_responses(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's post-processing hook: every status an operation does not name is a problem."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"].setdefault("default", _ANSWER)
    return result


def add_revalidation(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """What is read out has an ETag, and is not sent again to whoever has it already."""
    for operations in result["paths"].values():
        if "get" in operations:
            operations["get"].setdefault("parameters", []).append(_IF_NONE_MATCH)
            operations["get"]["responses"]["200"].setdefault("headers", {})["ETag"] = {"schema": _STRING}
            operations["get"]["responses"]["304"] = {"description": "What the ETag stands for still holds."}
    return result
