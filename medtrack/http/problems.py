"""Errors as the API shows them: one shape for every status, whoever raised it."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any, cast

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled
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
    """The `id` or `event_id` of the request belongs to something else."""

    default_detail = gettext_lazy("Another object was already created with this id.")


class RequestTooLarge(exceptions.APIException):
    """The body is larger than 2 MiB."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = gettext_lazy("The request is larger than we accept.")
    default_code = "too_large"


class Unavailable(exceptions.APIException):
    """Something that this needs is away for the moment; each subclass is one documented `type`."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    wait = 5


class Busy(Unavailable):
    """The database took too long, or other requests kept the data locked; the same request can be sent again."""

    default_detail = gettext_lazy("We are too busy for this at the moment. Try again in a few seconds.")


class TooMany(exceptions.Throttled):
    """More than is allowed for now; each subclass is one documented `type`, with a sentence and members of its own."""

    def __init__(self, wait: timedelta, **members: Any) -> None:
        """`Retry-After` is at least a second."""
        super().__init__(detail=str(self.default_detail))
        self.wait = max(ceil(wait.total_seconds()), 1)
        self.members = members


@dataclass(frozen=True)
class ProblemType:
    """One `type` that clients can meet: its sentence in the language of the moment, and when it is answered."""

    name: str
    status: int
    sentence: "StrOrPromise"
    when: str


BAD_REQUEST = ProblemType(
    "BadRequest",
    status.HTTP_400_BAD_REQUEST,
    gettext_lazy("The request could not be understood."),
    "The request itself is broken, such as by a `Host` that is not ours.",
)
INTERNAL_ERROR = ProblemType(
    "InternalError",
    status.HTTP_500_INTERNAL_SERVER_ERROR,
    gettext_lazy("Something went wrong on our side."),
    "We have a defect, and `request_id` finds it in our log.",
)


def _of_framework(name: str, kind: type[exceptions.APIException], when: str) -> ProblemType:
    return ProblemType(name, kind.status_code, cast("StrOrPromise", kind.default_detail), when)


# What the framework raises by itself, under names that stay when the framework's change.
_OF_FRAMEWORK = {
    exceptions.APIException: INTERNAL_ERROR,
    exceptions.ParseError: ProblemType(
        "ParseError",
        status.HTTP_400_BAD_REQUEST,
        gettext_lazy("The body is not JSON that we can read."),
        "The body is not JSON in UTF-8, or it is nested too deep.",
    ),
    exceptions.ValidationError: ProblemType(
        "ValidationError",
        status.HTTP_400_BAD_REQUEST,
        gettext_lazy("Some fields are not valid."),
        "Fields of the body or the query are not valid: `errors` says which and why.",
    ),
    exceptions.NotAuthenticated: _of_framework(
        "NotAuthenticated", exceptions.NotAuthenticated, "The request has no access token."
    ),
    exceptions.AuthenticationFailed: _of_framework(
        "AuthenticationFailed",
        exceptions.AuthenticationFailed,
        "The access token is not ours, or has expired.",
    ),
    exceptions.NotFound: _of_framework(
        "NotFound", exceptions.NotFound, "There is no such thing, or it is somebody else's."
    ),
    exceptions.MethodNotAllowed: _of_framework(
        "MethodNotAllowed", exceptions.MethodNotAllowed, "The path does not know this method."
    ),
    exceptions.NotAcceptable: _of_framework(
        "NotAcceptable", exceptions.NotAcceptable, "`Accept` leaves no room for JSON."
    ),
    exceptions.UnsupportedMediaType: _of_framework(
        "UnsupportedMediaType",
        exceptions.UnsupportedMediaType,
        "The body's `Content-Type` is not `application/json`.",
    ),
    exceptions.Throttled: _of_framework(
        "Throttled",
        exceptions.Throttled,
        "Too many of these for now; `Retry-After` says in how many seconds.",
    ),
}


def problem_type(raised: type[exceptions.APIException]) -> ProblemType:
    """What clients get for an exception: one of ours by its own name, another as the nearest that we know."""
    for kind in raised.__mro__:
        if kind in _OF_FRAMEWORK:
            return _OF_FRAMEWORK[kind]
        if not kind.__module__.startswith("rest_framework."):
            break
    when = " ".join((kind.__dict__.get("__doc__") or "").split())
    sentence = cast("StrOrPromise", raised.default_detail)
    return ProblemType(kind.__name__, raised.status_code, sentence, when)


def problem_types() -> list[ProblemType]:
    """Every type that the API can answer with, by status; the classes that raise them must be loaded, as by the URLs."""
    raised = [
        kind for kind in _subclasses(exceptions.APIException) if kind not in (Conflict, TooMany, Unavailable)
    ]
    ours = [problem_type(kind) for kind in raised if not kind.__module__.startswith("rest_framework.")]
    return sorted({BAD_REQUEST, *_OF_FRAMEWORK.values(), *ours}, key=lambda found: (found.status, found.name))


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _subclasses(kind)


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
    return problem(INTERNAL_ERROR.status, INTERNAL_ERROR.name, str(INTERNAL_ERROR.sentence))


def _expected(exc: BaseException | None) -> exceptions.APIException | None:
    match exc:
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RequestDataTooBig():
            return RequestTooLarge()
        # statement_timeout and lock_timeout of the database role, and the victim of a deadlock
        case OperationalError(__cause__=QueryCanceled() | LockNotAvailable() | DeadlockDetected()):
            return Busy()
        case exceptions.APIException():
            return exc
    return None


def _body(exc: exceptions.APIException) -> dict[str, Any]:
    kind = problem_type(type(exc))
    if isinstance(exc, exceptions.ValidationError):
        return problem(exc.status_code, kind.name, str(kind.sentence), errors=list(_flatten(exc.detail)))
    members = exc.members if isinstance(exc, Conflict | TooMany) else {}
    return problem(exc.status_code, kind.name, str(exc.detail), **members)


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
    return _json(BAD_REQUEST.status, BAD_REQUEST.name, str(BAD_REQUEST.sentence))


def forbidden(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _json(403, "PermissionDenied", _("You do not have permission to perform this action."))


def not_found(request: HttpRequest, exception: Exception | None = None, nowhere: str = "") -> JsonResponse:
    return _json(404, "NotFound", _("Not found."))


def server_error(request: HttpRequest) -> JsonResponse:
    """Says nothing about the inside; the request id finds the traceback in the log."""
    if isinstance(busy := _expected(sys.exc_info()[1]), Busy):  # in a page: the API's views do not come here
        return JsonResponse(_body(busy), status=busy.status_code, headers=_headers(busy))
    return _json(INTERNAL_ERROR.status, INTERNAL_ERROR.name, str(INTERNAL_ERROR.sentence))
