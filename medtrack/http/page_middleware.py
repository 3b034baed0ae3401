"""Middleware for pages only. The API has neither cookies nor forms, and is faster without it."""

from typing import Any

from allauth.account.middleware import AccountMiddleware
from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.deprecation import MiddlewareMixin


def is_page(request: HttpRequest) -> bool:
    return not request.path_info.startswith("/api/v1/")


class _PagesOnly(MiddlewareMixin):
    def __call__(self, request: HttpRequest) -> Any:
        return super().__call__(request) if is_page(request) else self.get_response(request)


class PageSessionMiddleware(_PagesOnly, SessionMiddleware):
    pass


class PageCsrfMiddleware(_PagesOnly, CsrfViewMiddleware):
    pass


class PageAuthenticationMiddleware(_PagesOnly, AuthenticationMiddleware):
    pass


class PageMessageMiddleware(_PagesOnly, MessageMiddleware):
    pass


class PageXFrameOptionsMiddleware(_PagesOnly, XFrameOptionsMiddleware):
    pass


class PageCSPMiddleware(_PagesOnly, CSPMiddleware):
    """Sends the Content-Security-Policy of the settings."""


class PageAccountMiddleware(_PagesOnly):
    """The middleware of django-allauth, with which staff sign in."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        self.account = AccountMiddleware(get_response)
        self.process_exception = self.account.process_exception

    def __call__(self, request: HttpRequest) -> Any:
        return self.account(request) if is_page(request) else self.get_response(request)
