"""Logs one line per request, except for static files: method, path, status, request id and user id.

The query is left out, because staff search for patients and medications in it.
"""

import logging
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import structlog
from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse

from medtrack.observability.logs import line_logger

log = structlog.get_logger(__name__)
lines = line_logger(__name__, settings.LOG_FORMAT)


class RequestLog:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        got_request_exception.connect(_log_failure)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(settings.STATIC_URL):
            return self.get_response(request)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=str(uuid4()))
        response = self.get_response(request)
        if response.status_code < 500:
            level = logging.INFO if response.status_code < 400 else logging.WARNING
            lines.log(level, "request_finished", code=response.status_code, **_fields(request))
        # A response of 500 or more follows the signal below, which logs the exception.
        return response


def _log_failure(*, request: HttpRequest, **_signal: Any) -> None:
    log.exception("request_failed", code=500, **_fields(request))


def _fields(request: HttpRequest) -> dict[str, str]:
    fields = {"request": f"{request.method} {request.path}"}
    # Django's authentication caches the user of a page here; reading request.user could query the database.
    staff = getattr(request, "_cached_user", None)
    if staff and staff.pk:
        fields["user_id"] = str(staff.pk)
    return fields
