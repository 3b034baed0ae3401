"""The admin site: what support staff open every morning."""

from typing import Any, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from medtrack.console.dashboard.page import dashboard
from medtrack.console.sign_in.guard import GuardedSite
from medtrack.database.clock import database_now
from users.models import User


class ConsoleSite(GuardedSite):
    site_header = site_title = "MedTrack"
    index_title = _("Today")
    site_url = None
    enable_nav_sidebar = False

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        shown = dashboard(viewer=cast(User, request.user), now=database_now())
        return super().index(request, {"dashboard": shown, **(extra_context or {})})


def favicon(request: HttpRequest) -> HttpResponse:
    """For pages that name no icon of their own; browsers then ask for this one."""
    return redirect(static("console/favicon.svg"))
