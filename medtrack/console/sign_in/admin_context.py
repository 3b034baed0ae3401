"""allauth's pages inside the admin site's layout."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import structlog
from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers

from medtrack.console.sign_in.encryption import Undecryptable

log = structlog.get_logger(__name__)

View = Callable[..., HttpResponseBase]


def with_admin_context(view: View) -> View:
    """Adds the context that every admin page has, and headers so that browsers store nothing of the page.

    Answers with a page of its own if a secret of the second factor cannot be decrypted.
    """

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = _rendered(request, view(request, *args, **kwargs))
        except Undecryptable:
            # No key of this server decrypts the secret. Only an administrator can help, by resetting the
            # factor.
            # Between the password and the second factor the user is in the stage, not yet in the request.
            stage = getattr(request, "_login_stage", None)
            user = stage.login.user if stage else request.user
            remedy = "manage.py reset_second_factor EMAIL"
            log.error("second factor unreadable", user_id=str(user.pk), remedy=remedy)
            refusal = TemplateResponse(request, "console/unreadable_factor.html", {}, status=403)
            response = _rendered(request, refusal)
        add_never_cache_headers(response)
        return response

    return page


def _rendered(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    # Rendered here and not later, because the template may be the first to decrypt a secret.
    if isinstance(response, TemplateResponse):
        # `each_context` may still have the user of before the view signed someone in.
        context = admin.site.each_context(request) | {"user": request.user}
        response.context_data = context | (response.context_data or {})
        response.render()
    return response
