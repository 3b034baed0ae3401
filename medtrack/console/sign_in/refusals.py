"""Pages that are shown instead of checking a password or a code.

The reason is too many guesses, or no capacity to check one.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.deprecation import MiddlewareMixin
from rest_framework.exceptions import APIException, Throttled

from users.guesses import LoginUnavailable
from users.hashing import PasswordsBusy

# What counting a guess raises.
REFUSALS = (Throttled, LoginUnavailable, PasswordsBusy)


def refused_page(request: HttpRequest, error: APIException) -> TemplateResponse:
    context = admin.site.each_context(request) | {"refusal": error.detail}
    response = TemplateResponse(request, "console/refused.html", context, status=error.status_code)
    set_retry_after(response, error)
    return response


def set_retry_after(response: HttpResponse, error: APIException) -> None:
    if wait := getattr(error, "wait", None):
        response.headers["Retry-After"] = str(int(wait))


class PageRefusals(MiddlewareMixin):
    """Answers PasswordsBusy, which any form of Django or allauth that hashes a password can raise."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> Any:
        return refused_page(request, exception) if isinstance(exception, PasswordsBusy) else None
