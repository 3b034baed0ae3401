from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from django.views.i18n import set_language
from drf_spectacular.views import SpectacularSwaggerSplitView

from medtrack.api import documentation as docs
from medtrack.console.site import favicon
from medtrack.http.problems import not_found

handler400 = "medtrack.http.problems.bad_request"
handler403 = "medtrack.http.problems.forbidden"
handler404 = "medtrack.http.problems.not_found"
handler500 = "medtrack.http.problems.server_error"

# Roles come from a migration; who has a second factor is on the staff's own pages.
admin.site.unregister([Group, EmailAddress, Authenticator])

urlpatterns = [
    path("api/v1/", include("medtrack.api.routes")),
    # Also with DEBUG, whose own page is not JSON.
    path("api/v1/<path:rest>", csrf_exempt(not_found)),
    path("", RedirectView.as_view(url="/api/docs/")),
    # No model has a public page to redirect to.
    path("admin/r/<path:rest>", not_found),
    path("admin/", include("medtrack.console.urls")),
    path("admin/", admin.site.urls),
    path("language/", set_language, name="set_language"),
    path("favicon.ico", favicon),
    path("api/schema/", docs.schema, name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema")),
]
if apps.is_installed("medtrack.development.demo"):
    urlpatterns.append(path("demo/", include("medtrack.development.demo.urls")))
