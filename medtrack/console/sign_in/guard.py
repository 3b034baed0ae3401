"""The admin site's door: who may come in, what of the stock admin is closed, and who is told that a page was shown."""

from typing import Any, cast

from django.conf import settings
from django.contrib.admin import AdminSite
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path

from medtrack.console.sign_in import views as sign_in
from medtrack.console.sign_in.adapters import used_factor
from medtrack.console.sign_in.refusals import refused_page
from medtrack.console.staff import pages as staff_pages
from medtrack.database.clock import database_now
from users.actions.sessions import end_sessions
from users.guesses import count_guess
from users.models import User


class GuardedSite(AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        """For active staff, by a second factor where one is required."""
        if not super().has_permission(request):
            return False
        return not settings.STAFF_SECOND_FACTOR or used_factor(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return cast(HttpResponse, sign_in.log_in(request))

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The old password is guessed at here as at the door; a new one ends the sessions of the old."""
        user = cast(User, request.user)
        if request.method != "POST":
            return super().password_change(request, extra_context)
        account = user.email or str(user.pk)
        # Who is signed in is no stranger.
        known = f"staff {user.pk}"
        if error := sign_in.refusal(lambda: count_guess(cast(Any, request), account, device=known)):
            return refused_page(request, error)
        with transaction.atomic():
            response = super().password_change(request, extra_context)
            if response.status_code == 302:
                end_sessions(user_id=user.pk, now=database_now())
        return response

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """No form of ours asks for it, and what it finds would be listed nowhere."""
        raise Http404

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [
            path("staff/", self.admin_view(staff_pages.staff_list), name="staff"),
            path("staff/<uuid:user_id>/", self.admin_view(staff_pages.staff_member), name="staff_member"),
            *super().get_urls(),
        ]
