from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from medtrack import health

handler400 = "medtrack.common.problems.bad_request"
handler403 = "medtrack.common.problems.forbidden"
handler404 = "medtrack.common.problems.not_found"
handler500 = "medtrack.common.problems.server_error"

admin.site.site_header = admin.site.site_title = "MedTrack"
admin.site.site_url = None

api = [
    path("", include("users.urls")),
    path("", include("medications.urls")),
    path("", include("dosing.urls")),
    path("", include("notifications.urls")),
]

urlpatterns = [
    path("", RedirectView.as_view(url="/api/docs/")),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("admin/", admin.site.urls),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema")),
    path("api/v1/", include(api)),
]
