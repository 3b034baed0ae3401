"""The admin site: who may use it, its dashboard, and pages that belong to no table."""

from typing import Any, cast

from django.conf import settings
from django.contrib.admin import AdminSite
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, path
from django.utils.translation import gettext_lazy as _

from medtrack.console.dashboard.page import dashboard
from medtrack.console.patient.action_pages import device_action
from medtrack.console.patient.trace import dose_trace
from medtrack.console.sign_in import views as sign_in
from medtrack.console.sign_in.adapters import used_factor
from medtrack.console.sign_in.refusals import REFUSALS, refused_page
from medtrack.console.staff import pages as staff_pages
from medtrack.database.clock import database_now
from users.actions.sessions import end_sessions
from users.guesses import count_guess
from users.models import User


class ConsoleSite(AdminSite):
    site_header = site_title = "MedTrack"
    index_title = _("Today")
    site_url = None
    enable_nav_sidebar = False

    def get_urls(self) -> list[URLPattern | URLResolver]:
        staff_list = self.admin_view(staff_pages.staff_list)
        staff_member = self.admin_view(staff_pages.staff_member)
        trace, device = self.admin_view(dose_trace), self.admin_view(device_action)
        return [
            path("staff/", staff_list, name="staff"),
            path("staff/<uuid:user_id>/", staff_member, name="staff_member"),
            # Below the stock pages that link to them, and before their own URLs, which would match too.
            path(
                "notifications/notificationlog/dose/<uuid:dose_id>/", trace, name="notifications_dose_trace"
            ),
            path(
                "notifications/devicetoken/<uuid:device_id>/do/<str:name>/",
                device,
                name="notifications_devicetoken_act",
            ),
            *super().get_urls(),
        ]

    def has_permission(self, request: HttpRequest) -> bool:
        """For active staff, with a second factor where one is required."""
        if not super().has_permission(request):
            return False
        return not settings.STAFF_SECOND_FACTOR or used_factor(request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        context = {"dashboard": dashboard(viewer=cast(User, request.user), now=database_now())}
        return super().index(request, {**context, **(extra_context or {})})

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return cast(HttpResponse, sign_in.log_in(request))

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        user = cast(User, request.user)
        if request.method != "POST":
            return super().password_change(request, extra_context)
        # The form asks for the old password, which could be guessed here as on the sign-in page.
        # The device is known: the user is signed in on it.
        try:
            count_guess(cast(Any, request), user.email or str(user.pk), device=f"staff {user.pk}")
        except REFUSALS as error:
            return refused_page(request, error)
        with transaction.atomic():
            response = super().password_change(request, extra_context)
            # A redirect: the password was changed, and the app's sessions of the old password end.
            if response.status_code == 302:
                end_sessions(user_id=user.pk, now=database_now())
        return response

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        # No form uses it, and its results would not be in the access log.
        raise Http404


def favicon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for /favicon.ico when a page names no icon."""
    return redirect(static("console/favicon.svg"))
