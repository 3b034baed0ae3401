"""The WSGI entry of the web process."""

import gc
import os
import re
from io import BytesIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from rest_framework.response import Response

from medtrack.configuration.start import load_settings
from medtrack.observability import shared_metrics
from medtrack.web.activity import activity
from medtrack.web.lifeline import die_with_parent

load_settings()

# The body of these means nothing, and reading it may take as long as its sender likes.
_BODILESS = ("GET", "HEAD")
_CHARSET = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)
shared_metrics.share(settings.VAR_DIR / "metrics")
_django = get_wsgi_application()

# What the application is made of stays for good, and no request should pay for a search for cycles: none is left of
# those that come by the thousand.
gc.freeze()
gc.set_threshold(20_000, 20, 50)

from medtrack.probes import server as probe_server  # noqa: E402
from medtrack.probes.middleware import PROBES  # noqa: E402 - the views need the applications to be loaded

request_finished.connect(activity.end)
if "MEDTRACK_PROBES" in os.environ:  # set by medtrack.web, whose child this is
    die_with_parent()
    probe_server.serve(Path(os.environ["MEDTRACK_PROBES"]))


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Django, for which every request is UTF-8 and says its length.

    Python knows charsets that are none, such as zlib, and Django fails on them before any middleware runs.
    """
    environ["CONTENT_TYPE"] = _CHARSET.sub("", environ.get("CONTENT_TYPE", ""))
    activity.begin()
    try:
        if environ.get("HTTP_TRANSFER_ENCODING") and _has_body(environ):
            _measure(environ)
        response = _django(environ, start_response)
    except BaseException:
        activity.end()
        raise
    if isinstance(response, Response):
        _let_go_of(response)
    return response


def _let_go_of(response: Response) -> None:
    """What DRF makes for a request holds itself, and with it every row of the answer, until cycles are searched for."""
    context = response.renderer_context  # type: ignore[attr-defined]
    vars(context["view"]).clear()
    context["request"].parser_context.clear()
    context.clear()


def _has_body(environ: dict[str, Any]) -> bool:
    return environ["REQUEST_METHOD"] not in _BODILESS and environ["PATH_INFO"] not in PROBES


def _measure(environ: dict[str, Any]) -> None:
    """A body in chunks, which for Django is none: read up to the first byte too many."""
    body = environ["wsgi.input"].read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
