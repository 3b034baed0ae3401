"""Errors as the API shows them: one shape for every status, whoever raised it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import exceptions, status
from rest_framework.response import Response

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Conflict(exceptions.APIException):
    """The request contradicts what is stored; each subclass is one documented `type`."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"

    def __init__(self, **members: Any) -> None:
        """`members` are told besides the sentence."""
        super().__init__()
        self.members = members


class IdConflict(Conflict):
    default_detail = gettext_lazy("Another object was already created with this id.")


class RequestTooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = gettext_lazy("The request is larger than we accept.")
    default_code = "too_large"


class Unavailable(exceptions.APIException):
    """Something that this needs is away for the moment; each subclass is one documented `type`."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    wait = 5


def field_error(field: str, detail: "StrOrPromise", *, code: str) -> exceptions.ValidationError:
    """A validation error about one field, for rules that no single serializer field can check."""
    return exceptions.ValidationError({field: [exceptions.ErrorDetail(str(detail), code=code)]})


def problem(status_code: int, problem_type: str, detail: str, **members: Any) -> dict[str, Any]:
    """The body of every error response."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return {
        "detail": detail,
        "status": status_code,
        "type": problem_type,
        **members,
        "request_id": request_id,
    }


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's hook: an expected exception becomes a problem, an unexpected one is left to `server_error`."""
    expected = _expected(exc)
    if expected is None:
        return None
    return Response(_body(expected), status=expected.status_code, headers=_headers(expected))


def body_of(exc: Exception) -> dict[str, Any] | None:
    """The problem that an expected exception is; None for an unexpected one."""
    expected = _expected(exc)
    return None if expected is None else _body(expected)


def internal_error() -> dict[str, Any]:
    """The problem that an unexpected exception is: it says nothing about the inside."""
    return problem(500, "InternalError", _("Something went wrong on our side."))


def _expected(exc: Exception) -> exceptions.APIException | None:
    match exc:
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RequestDataTooBig():
            return RequestTooLarge()
        case exceptions.APIException():
            return exc
    return None


def _body(exc: exceptions.APIException) -> dict[str, Any]:
    if isinstance(exc, exceptions.ValidationError):
        errors = list(_flatten(exc.detail))
        return problem(exc.status_code, "ValidationError", _("Some fields are not valid."), errors=errors)
    members = exc.members if isinstance(exc, Conflict) else {}
    return problem(exc.status_code, type(exc).__name__, str(exc.detail), **members)


def _flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """One entry per message: nested serializers become dotted fields, list items get their index."""
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            yield from _flatten(value, path if key == "non_field_errors" else f"{path}.{key}".lstrip("."))
    elif isinstance(detail, list):
        for index, value in enumerate(detail):
            nested = isinstance(value, Mapping | list)
            yield from _flatten(value, f"{path}.{index}" if nested else path)
    else:
        yield {"field": path, "code": detail.code, "detail": str(detail)}


def _headers(exc: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if auth_header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if (wait := getattr(exc, "wait", None)) is not None:
        headers["Retry-After"] = str(int(wait))
    return headers


def _json(status_code: int, problem_type: str, detail: str) -> JsonResponse:
    return JsonResponse(problem(status_code, problem_type, detail), status=status_code)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _json(400, "BadRequest", _("The request could not be understood."))


def forbidden(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _json(403, "PermissionDenied", _("You do not have permission to perform this action."))


def not_found(request: HttpRequest, exception: Exception | None = None, nowhere: str = "") -> JsonResponse:
    return _json(404, "NotFound", _("Not found."))


def server_error(request: HttpRequest) -> JsonResponse:
    """Says nothing about the inside; the request id finds the traceback in the log."""
    return _json(500, "InternalError", _("Something went wrong on our side."))
