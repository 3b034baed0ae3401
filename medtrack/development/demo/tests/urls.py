"""The product's URLs with the demo's, as in development."""

from django.urls import include, path

from medtrack import urls
from medtrack.urls import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [*urls.urlpatterns, path("demo/", include("medtrack.development.demo.urls"))]
