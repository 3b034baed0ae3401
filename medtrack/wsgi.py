"""The WSGI entry of the web process."""

import gc
import re
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from rest_framework.response import Response

from medtrack import shared_metrics
from medtrack.start import load_settings

load_settings()

_CHARSET = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)
shared_metrics.share(settings.VAR_DIR / "metrics")
_django = get_wsgi_application()

# What the application is made of stays for good, and no request should pay for a search for cycles: none is left of
# those that come by the thousand.
gc.freeze()
gc.set_threshold(20_000, 20, 50)


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Django, for which every request is UTF-8 and says its length.

    Python knows charsets that are none, such as zlib, and Django fails on them before any middleware runs.
    """
    environ["CONTENT_TYPE"] = _CHARSET.sub("", environ.get("CONTENT_TYPE", ""))
    if environ.get("HTTP_TRANSFER_ENCODING"):
        _measure(environ)
    response = _django(environ, start_response)
    if isinstance(response, Response):
        _let_go_of(response)
    return response


def _let_go_of(response: Response) -> None:
    """What DRF makes for a request holds itself, and with it every row of the answer, until cycles are searched for."""
    context = response.renderer_context  # type: ignore[attr-defined]
    vars(context["view"]).clear()
    context["request"].parser_context.clear()
    context.clear()


def _measure(environ: dict[str, Any]) -> None:
    """A body in chunks, which for Django is none: read up to the first byte too many."""
    body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
