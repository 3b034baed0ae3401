from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from medtrack.development.demo.people import PASSWORD, PATIENTS
from medtrack.development.demo.texts import TEXTS, texts_by_language


@require_safe
@never_cache
def phone(request: HttpRequest) -> HttpResponseBase:
    """Shows a page that does what the mobile client does, through the public API only."""

    def page(request: HttpRequest) -> HttpResponse:
        return render(
            request,
            "demo/phone.html",
            {
                "text": TEXTS,
                "logins": [patient.login for patient in PATIENTS],
                "password": PASSWORD,
                "config": {"push_service": settings.FCM_BROWSER_URL, "texts": texts_by_language()},
            },
        )

    # The page connects to the FCM stand-in, which stands in for the browser's push service.
    push_services = [settings.FCM_BROWSER_URL] if settings.FCM_BROWSER_URL else []
    return csp_update({"connect-src": push_services})(page)(request)
