"""The error responses of the API: the same shape for every status and every exception."""

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
    """The request conflicts with stored data. Each subclass is one documented `type`."""

    status_code: int = status.HTTP_409_CONFLICT
    default_code = "conflict"

    def __init__(self, **members: Any) -> None:
        """`members` are further members of the response body."""
        super().__init__()
        self.members = members


class IdConflict(Conflict):
    """The `id` or `event_id` of the request belongs to another object."""

    default_detail = gettext_lazy("Another object was already created with this id.")


class RequestTooLarge(exceptions.APIException):
    """The body is larger than 2 MiB."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = gettext_lazy("The request body is too large: it can have 2 MiB.")
    default_code = "too_large"


class Unavailable(exceptions.APIException):
    """A service that the request needs is unavailable. Each subclass is one documented `type`."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"
    wait = 5  # seconds, for Retry-After


class Busy(Unavailable):
    """The database took too long, or other requests held locks on the data.

    The same request can be sent again.
    """

    default_detail = gettext_lazy("The server is too busy at the moment. Try again in a few seconds.")


class TooMany(exceptions.Throttled):
    """A limit per time is exceeded.

    Each subclass is one documented `type`, with its own sentence and members.
    """

    def __init__(self, wait: timedelta, **members: Any) -> None:
        super().__init__(detail=str(self.default_detail))
        self.wait = max(ceil(wait.total_seconds()), 1)  # Retry-After: 0 would mean at once
        self.members = members


@dataclass(frozen=True)
class ProblemType:
    """One `type` of error response. `sentence` is its default `detail`, `when` says when it is returned."""

    name: str
    status: int
    sentence: "StrOrPromise"
    when: str


BAD_REQUEST = ProblemType(
    "BadRequest",
    status.HTTP_400_BAD_REQUEST,
    gettext_lazy("The request could not be understood: check its headers and its address."),
    "The request itself is malformed, for example by a `Host` that the server does not have.",
)
INTERNAL_ERROR = ProblemType(
    "InternalError",
    status.HTTP_500_INTERNAL_SERVER_ERROR,
    gettext_lazy("Something went wrong on the server."),
    "The server has a defect. `request_id` identifies the request in its log.",
)


# Exceptions that DRF raises. Their names here stay the same if DRF renames its classes.
_FRAMEWORK_TYPES = {
    exceptions.APIException: INTERNAL_ERROR,
    exceptions.ParseError: ProblemType(
        "ParseError",
        status.HTTP_400_BAD_REQUEST,
        gettext_lazy('The body is not valid JSON in UTF-8. Example: {"name": "Aspirin"}'),
        "The body is not JSON in UTF-8, or is nested too deeply.",
    ),
    exceptions.ValidationError: ProblemType(
        "ValidationError",
        status.HTTP_400_BAD_REQUEST,
        gettext_lazy("Some fields are not valid: `errors` says what each should be."),
        "Fields of the body or the query are not valid. `errors` lists them.",
    ),
    exceptions.NotAuthenticated: ProblemType(
        "NotAuthenticated",
        status.HTTP_401_UNAUTHORIZED,
        gettext_lazy("Sign in first: the request has no access token."),
        "The request has no access token.",
    ),
    exceptions.AuthenticationFailed: ProblemType(
        "AuthenticationFailed",
        status.HTTP_401_UNAUTHORIZED,
        gettext_lazy("The access token is not valid or has expired. Refresh it, or sign in again."),
        "The access token is not valid or has expired.",
    ),
    exceptions.NotFound: ProblemType(
        "NotFound",
        status.HTTP_404_NOT_FOUND,
        gettext_lazy("Not found. It may have been deleted, or belong to another account."),
        "The object does not exist, or it belongs to another user.",
    ),
    exceptions.MethodNotAllowed: ProblemType(
        "MethodNotAllowed",
        status.HTTP_405_METHOD_NOT_ALLOWED,
        gettext_lazy("This address does not have this method. The header Allow lists those that it has."),
        "The path does not have this method.",
    ),
    exceptions.NotAcceptable: ProblemType(
        "NotAcceptable",
        status.HTTP_406_NOT_ACCEPTABLE,
        gettext_lazy("Responses are JSON: the header Accept must permit application/json."),
        "`Accept` excludes JSON.",
    ),
    exceptions.UnsupportedMediaType: ProblemType(
        "UnsupportedMediaType",
        status.HTTP_415_UNSUPPORTED_MEDIA_TYPE,
        gettext_lazy("Send the body as JSON, with the header Content-Type: application/json"),
        "The body's `Content-Type` is not `application/json`.",
    ),
    exceptions.Throttled: ProblemType(
        "Throttled",
        status.HTTP_429_TOO_MANY_REQUESTS,
        gettext_lazy("Too many requests. Wait as many seconds as the header Retry-After says."),
        "Too many requests. `Retry-After` has the seconds to wait.",
    ),
}


def problem_type(raised: type[exceptions.APIException]) -> ProblemType:
    """Returns the type of an exception: of DRF's, that of the nearest base class in the table above."""
    for kind in raised.__mro__:
        if kind in _FRAMEWORK_TYPES:
            return _FRAMEWORK_TYPES[kind]
        if not kind.__module__.startswith("rest_framework."):
            break
    when = " ".join((kind.__dict__.get("__doc__") or "").split())
    sentence = cast("StrOrPromise", raised.default_detail)
    return ProblemType(kind.__name__, raised.status_code, sentence, when)


def problem_types() -> list[ProblemType]:
    """Returns every type of error response, ordered by status.

    The modules that define exceptions must be loaded, as they are by the routes.
    """
    raised = [
        kind for kind in _subclasses(exceptions.APIException) if kind not in (Conflict, TooMany, Unavailable)
    ]
    own = [problem_type(kind) for kind in raised if not kind.__module__.startswith("rest_framework.")]
    return sorted({BAD_REQUEST, *_FRAMEWORK_TYPES.values(), *own}, key=lambda kind: (kind.status, kind.name))


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _subclasses(kind)


def field_error(field: str, detail: "StrOrPromise", *, code: str) -> exceptions.ValidationError:
    """Returns a validation error about one field, for rules that a serializer field cannot check."""
    return exceptions.ValidationError({field: [exceptions.ErrorDetail(str(detail), code=code)]})


def problem(status_code: int, problem_type: str, detail: str, **members: Any) -> dict[str, Any]:
    """Returns the body of an error response."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return {
        "detail": detail,
        "status": status_code,
        "type": problem_type,
        **members,
        "request_id": request_id,
    }


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER. Returns None for an unexpected exception, which `server_error` handles."""
    expected = _expected(exc)
    if expected is None:
        return None
    return Response(_body(expected), status=expected.status_code, headers=_headers(expected))


def body_of(exc: Exception) -> dict[str, Any] | None:
    """Returns the body of the error response to an expected exception; None for an unexpected one."""
    expected = _expected(exc)
    return None if expected is None else _body(expected)


def internal_error() -> dict[str, Any]:
    """Returns the body of the response to an unexpected exception, without anything about it."""
    return problem(INTERNAL_ERROR.status, INTERNAL_ERROR.name, str(INTERNAL_ERROR.sentence))


def _expected(exc: BaseException | None) -> exceptions.APIException | None:
    match exc:
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RequestDataTooBig():
            return RequestTooLarge()
        # statement_timeout or lock_timeout of the database role, or a deadlock
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
    # DRF's own exceptions have DRF's own sentences.
    is_ours = not type(exc).__module__.startswith("rest_framework.")
    return problem(exc.status_code, kind.name, str(exc.detail if is_ours else kind.sentence), **members)


def _flatten(detail: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Yields one entry per message.

    The names of nested fields are joined by dots; list items have their index.
    """
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
    return _json(403, "PermissionDenied", _("Your account does not have the permission that this needs."))


def not_found(request: HttpRequest, exception: Exception | None = None, rest: str = "") -> JsonResponse:
    return _json(404, "NotFound", str(_FRAMEWORK_TYPES[exceptions.NotFound].sentence))


def server_error(request: HttpRequest) -> JsonResponse:
    """Contains nothing about the exception. The log has its traceback under the same request id."""
    # Only for pages: in the API `exception_handler` has handled Busy.
    if isinstance(busy := _expected(sys.exc_info()[1]), Busy):
        return JsonResponse(_body(busy), status=busy.status_code, headers=_headers(busy))
    return _json(INTERNAL_ERROR.status, INTERNAL_ERROR.name, str(INTERNAL_ERROR.sentence))
