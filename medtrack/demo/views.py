from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from medtrack.demo.people import PASSWORD, PATIENTS
from medtrack.demo.texts import TEXTS, texts_by_language


@require_safe
@never_cache
def phone(request: HttpRequest) -> HttpResponse:
    """A page that does what the mobile client does, through the public API alone; in development only."""
    if not settings.DEBUG:
        raise Http404
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
